"""A whole film of one model, ours beside diffusers', from the same files of random weights: sentence to frames.

    python benchmarks/film.py [--width 384] [--layers 12] [--codec-width 32] [--size 256x256] [--frames 17] [--steps 10]
                              [--threads 1] [--repeats 3] [--device cpu] [--compiled] [--out film.json]

The model is Wan 2.1 text to video in small. Both start warm, with everything loaded; steps, guidance and precision are
the same, runs alternate, and seconds are of the processor where it is one (the machine may be shared). Peers: diffusers
as it comes; tuned: fused projections, the autoencoder channels-last, and with --compiled the transformer compiled.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from kinora import __version__
from kinora.core.request import Request
from kinora.pipeline import load_pipeline
from kinora.presets.recognise import recognise
from kinora.presets.store import manifest_of
from kinora.weights.manifest import MANIFEST_NAME

PROMPT = "a red ball rolls to the right on the grass"


def write_model(folder: Path, options: argparse.Namespace) -> None:
    """A model of random weights, written by diffusers."""
    import diffusers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {
        letter: 3 + i for i, letter in enumerate("abcdefghijklmnopqrstuvwxyz")
    }
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    text = UMT5Config(
        vocab_size=64, d_model=256, d_kv=64, d_ff=512, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    )
    pipeline = diffusers.WanPipeline(
        tokenizer=fast,
        text_encoder=UMT5EncoderModel(text),
        transformer=diffusers.WanTransformer3DModel(
            num_attention_heads=options.width // 128, attention_head_dim=128, in_channels=16, out_channels=16,
            text_dim=256, freq_dim=256, ffn_dim=4 * options.width, num_layers=options.layers,
        ),
        vae=diffusers.AutoencoderKLWan(base_dim=options.codec_width, z_dim=16),
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=8.0
        ),
    )  # fmt: skip
    torch.nn.init.normal_(pipeline.transformer.proj_out.weight, std=0.02)
    pipeline.save_pretrained(folder)


def ours(folder: Path, options: argparse.Namespace) -> Callable[[], np.ndarray]:
    found = recognise(folder, called="wan2.1-t2v-1.3b")
    manifest = manifest_of(found, name="benchmark", source="")
    record = json.loads(manifest.to_json())
    sampling = {"steps": options.steps, "guidance": 5.0, "shift": 8.0, "image_shift": 8.0, "solver": "unipc"}
    record["sampling"] = {"draft": sampling}
    place = folder.parent / "model"
    place.mkdir()
    (place / MANIFEST_NAME).write_text(json.dumps(record), encoding="utf-8")
    pipeline = load_pipeline(str(place), device=options.device)
    width, height = map(int, options.size.split("x"))
    request = Request(prompt=PROMPT, seconds=options.frames / 16, size=(width, height), quality="draft")
    assert pipeline.plan(request).pixels.frames == options.frames
    return lambda: pipeline.generate(request).frames_FHWC


def theirs(folder: Path, options: argparse.Namespace, *, tuned: bool) -> Callable[[], np.ndarray]:
    import diffusers

    diffusers.utils.logging.disable_progress_bar()
    pipeline = diffusers.WanPipeline.from_pretrained(folder, local_files_only=True).to(options.device)
    pipeline.set_progress_bar_config(disable=True)
    if tuned:
        pipeline.transformer.fuse_qkv_projections()
        for module in pipeline.vae.modules():
            if isinstance(module, torch.nn.Conv3d):
                module.to(memory_format=torch.channels_last_3d)
            elif isinstance(module, torch.nn.Conv2d):
                module.to(memory_format=torch.channels_last)
        if options.compiled:
            pipeline.transformer.compile()
    width, height = map(int, options.size.split("x"))

    def film() -> np.ndarray:
        return pipeline(
            prompt=PROMPT, negative_prompt="static", width=width, height=height, num_frames=options.frames,
            num_inference_steps=options.steps, guidance_scale=5.0, output_type="np",
        ).frames  # fmt: skip

    return film


def seconds_of(work: Callable[[], object], device: str) -> float:
    """Of the processor on a CPU, of the clock elsewhere."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    work()
    return clock() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("width", 384), ("layers", 12), ("codec-width", 32), ("frames", 17), ("steps", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as place, torch.inference_mode():
        folder = Path(place) / "published"
        write_model(folder, options)
        works = {"kinora": ours(folder, options)}
        torch.set_float32_matmul_precision("medium")
        works["diffusers"] = theirs(folder, options, tuned=False)
        works["diffusers, tuned"] = theirs(folder, options, tuned=True)
        spent: dict[str, list[float]] = {name: [] for name in works}
        for work in works.values():
            work()
        for _ in range(options.repeats):
            for name, work in works.items():
                spent[name].append(seconds_of(work, options.device))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    record = {
        "what": "film", "kinora": __version__, "commit": commit.stdout.strip(), "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if options.device != "cpu" else platform.processor() or "CPU",
        "settings": {name: str(value) for name, value in vars(options).items() if name != "out"},
        "seconds": spent,
    }  # fmt: skip
    median = {name: statistics.median(values) for name, values in spent.items()}
    print("| pipeline | seconds (median) | spread | against kinora |\n|---|---|---|---|")
    for name, values in spent.items():
        spread, times = f"{min(values):.2f} to {max(values):.2f}", median[name] / median["kinora"]
        print(f"| {name} | {median[name]:.2f} | {spread} | {times:.2f}x |")
    if options.out is not None:
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
