"""Published models in miniature: random weights of reduced width, in files laid out exactly like the real download.

`write_wan(folder, name, layout)` for every name of `OPEN_MODELS` and every layout. The weights of a name are the same
in every layout, so that a film may be compared across them. Names of tensors come from outside where they can:
diffusers and transformers write their own folders; Wan's names of the text and image encoder stand below as in
wan/modules/t5.py and clip.py. From a test: the fixtures `write_wan` and `wan_model` of tests/conftest.py.
"""

from __future__ import annotations

import functools
import io
import json
import re
import warnings
import zlib
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch

from kinora.presets.wan import OPEN_MODELS, OpenModel
from kinora.transformer.config import TransformerConfig

WIDTH = 256
"""Two heads of 128: the published width of a head, so that it can be told without a config."""
TEXT_WIDTH = 32
IMAGE_WIDTH = 160
LAYERS = 2
CODEC_WIDTH = 8
VOCABULARY = 384
SHARD_BYTES = 5 * 2**20
CORPUS = (
    "a red ball rolls to the left on sand", "two cats fight while a dog sleeps", "红色的球向左滚动",
    "一只猫在草地上走", "the quick brown fox jumps over the lazy dog", 'he says "hello" and goes',
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量",
)  # fmt: skip

Tensors = dict[str, torch.Tensor]


def write_wan(
    folder: Path,
    name: str,
    layout: str = "wan",
    *,
    already_converted: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write the model `name` into `folder` (made) as "wan", "diffusers" or "comfy"; the folder.

    In the layout "wan" the autoencoder and the encoders are .pth files, as published; `already_converted` puts the
    safetensors files beside them that `kinora models convert` makes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = OPEN_MODELS[name]
    if layout == "wan":
        _write_original(folder, model, dtype, already_converted)
    elif layout == "diffusers":
        _write_diffusers(folder, model, dtype)
    elif layout == "comfy":
        _write_comfy(folder, model, dtype)
    else:
        raise ValueError(f"wan, diffusers or comfy, not {layout!r}")
    return folder


def write_wan_model(folder: Path, name: str, layout: str = "diffusers") -> Path:
    """The same with a manifest beside, as `kinora models pull` leaves it: `folder` is a model that can be loaded."""
    from kinora.presets.recognise import recognise
    from kinora.presets.store import hashed, manifest_of

    write_wan(folder, name, layout, already_converted=True)
    manifest = manifest_of(recognise(folder, called=name), name=folder.name, source="random weights", home="")
    (folder / "manifest.json").write_text(hashed(manifest, folder).to_json(), encoding="utf-8")
    return folder


def reduced(model: OpenModel) -> TransformerConfig:
    """The transformer's config of the miniature."""
    own = model.transformer
    return replace(
        own,
        width=WIDTH,
        heads=WIDTH // 128,
        layers=LAYERS,
        ffn_width=128,
        text_width=TEXT_WIDTH,
        image_width=IMAGE_WIDTH if own.image_width else 0,
    )


# ---- weights, the same for every layout ----


@functools.lru_cache(maxsize=4)
def transformer_weights(name: str, expert: int = 0) -> Tensors:
    from kinora.transformer.model import Transformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(f"{name} {expert}".encode()))
        module = Transformer(reduced(OPEN_MODELS[name]))
        # A fresh head is zero, and fresh embeddings hardly speak: every prompt and every step would look the same.
        torch.nn.init.normal_(module.head.head.weight, std=WIDTH**-0.5)
        torch.nn.init.normal_(module.text_embedding[0].weight, std=TEXT_WIDTH**-0.5)
        torch.nn.init.normal_(module.text_embedding[2].weight, std=WIDTH**-0.5)
        for parameter in module.img_emb.parameters() if module.img_emb is not None else ():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.02)
    return {key: value.detach() for key, value in module.state_dict().items()}


@functools.lru_cache(maxsize=2)
def codec_weights(kind: str) -> Tensors:
    from kinora.codec.build import build_codec

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(kind.encode()))
        module = build_codec(codec_config(kind))
    return {key: value.detach() for key, value in module.state_dict().items()}


def codec_config(kind: str) -> dict:
    if kind == "wan21":
        return {"kind": "wan21", "width": CODEC_WIDTH, "channels": 16}
    return {"kind": "wan22", "encoder_width": CODEC_WIDTH, "decoder_width": CODEC_WIDTH, "channels": 48, "patch": 2}


@functools.lru_cache(maxsize=1)
def text_encoder():
    from transformers import UMT5Config, UMT5EncoderModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        model = UMT5EncoderModel(
            UMT5Config(
                vocab_size=VOCABULARY, d_model=TEXT_WIDTH, d_kv=TEXT_WIDTH // 2, d_ff=64, num_layers=LAYERS,
                num_heads=2, feed_forward_proj="gated-gelu", dropout_rate=0.0,
            )
        )  # fmt: skip
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                parameter.normal_(1.0 if "norm" in key else 0.0, 0.2)
    return model.eval()


@functools.lru_cache(maxsize=1)
def image_encoder():
    from transformers import CLIPVisionConfig, CLIPVisionModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12)
        model = CLIPVisionModel(
            CLIPVisionConfig(
                hidden_size=IMAGE_WIDTH, intermediate_size=64, num_hidden_layers=LAYERS + 1, num_attention_heads=2,
                image_size=224, patch_size=14, hidden_act="gelu",
            )
        )  # fmt: skip
    return model.eval()


@functools.lru_cache(maxsize=1)
def spiece() -> bytes:
    """A sentencepiece model of a few hundred pieces; its bytes cover every text."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 20), model_writer=model, vocab_size=370, hard_vocab_limit=False, pad_id=0,
        eos_id=1, unk_id=2, bos_id=-1, byte_fallback=True, character_coverage=1.0, minloglevel=2,
    )  # fmt: skip
    return model.getvalue()


@functools.lru_cache(maxsize=1)
def tokenizer():
    """The same pieces as the tokenizers library has them."""
    import sentencepiece
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = sentencepiece.SentencePieceProcessor(model_proto=spiece())
    vocabulary = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(pieces.get_piece_size())]
    made = Tokenizer(models.Unigram(vocabulary, unk_id=2, byte_fallback=True))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    made.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return made


# ---- layout of the makers ----


def _write_original(folder: Path, model: OpenModel, dtype: torch.dtype, already_converted: bool) -> None:
    config = reduced(model)
    homes = [folder / "high_noise_model", folder / "low_noise_model"] if model.experts == 2 else [folder]
    for expert, home in enumerate(homes):
        home.mkdir(exist_ok=True)
        one_file = model.name == "wan2.1-t2v-1.3b"
        _shards(home, "diffusion_pytorch_model", _cast(transformer_weights(model.name, expert), dtype), one_file)
        (home / "config.json").write_text(json.dumps(_original_config(model, config), indent=2))
    kind = model.codec["kind"]
    pickles = {
        "Wan2.2_VAE" if kind == "wan22" else "Wan2.1_VAE": _cast(codec_weights(kind), torch.float32),
        "models_t5_umt5-xxl-enc-bf16": _cast(t5_names(text_encoder().state_dict()), dtype),
    }
    if model.image is not None:
        tensors = clip_names(image_encoder().state_dict())
        pickles["models_clip_open-clip-xlm-roberta-large-vit-huge-14"] = _cast(tensors, dtype)
        (folder / "xlm-roberta-large").mkdir(exist_ok=True)
        (folder / "xlm-roberta-large" / "tokenizer.json").write_text("{}")
    for stem, tensors in pickles.items():
        torch.save(tensors, folder / f"{stem}.pth")
        if already_converted:
            safetensors.torch.save_file(tensors, folder / f"{stem}.safetensors")
    _write_tokenizer(folder / "google" / "umt5-xxl")


def _original_config(model: OpenModel, config: TransformerConfig) -> dict:
    kinds = {"wan2.2-ti2v-5b": "ti2v", "wan2.1-flf2v-14b": "flf2v"}
    return {
        "_class_name": "WanModel",
        "_diffusers_version": "0.30.0",
        "dim": config.width,
        "eps": 1e-06,
        "ffn_dim": config.ffn_width,
        "freq_dim": config.frequency_width,
        "in_dim": config.channels + config.extra_channels,
        "model_type": kinds.get(model.name, "i2v" if config.extra_channels else "t2v"),
        "num_heads": config.heads,
        "num_layers": config.layers,
        "out_dim": config.channels,
        "text_len": config.text_length,
    }


def _shards(folder: Path, stem: str, tensors: Tensors, one_file: bool) -> None:
    """One file, or two with an index, as Hugging Face's libraries write them."""
    if one_file:
        safetensors.torch.save_file(tensors, folder / f"{stem}.safetensors")
        return
    names = sorted(tensors)
    halves = {f"{stem}-0000{i + 1}-of-00002.safetensors": names[i::2] for i in range(2)}
    for file, own in halves.items():
        safetensors.torch.save_file({name: tensors[name] for name in own}, folder / file)
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in tensors.values())},
        "weight_map": {name: file for file, own in halves.items() for name in own},
    }
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index, indent=2))


def _write_tokenizer(folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(), eos_token="</s>", pad_token="<pad>", unk_token="<unk>", model_max_length=512
    )
    fast.save_pretrained(folder)
    (folder / "spiece.model").write_bytes(spiece())


T5_NAMES = (
    (r"encoder\.final_layer_norm", "norm"),
    (r"shared", "token_embedding"),
    (r"encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.relative_attention_bias", r"blocks.\1.pos_embedding.embedding"),
    (r"encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.([qkvo])", r"blocks.\1.attn.\2"),
    (r"encoder\.block\.(\d+)\.layer\.0\.layer_norm", r"blocks.\1.norm1"),
    (r"encoder\.block\.(\d+)\.layer\.1\.layer_norm", r"blocks.\1.norm2"),
    (r"encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_0", r"blocks.\1.ffn.gate.0"),
    (r"encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_1", r"blocks.\1.ffn.fc1"),
    (r"encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wo", r"blocks.\1.ffn.fc2"),
)


def t5_names(tensors: Tensors) -> Tensors:
    """transformers' names to those of wan/modules/t5.py."""
    renamed = {}
    for name, tensor in tensors.items():
        if name != "encoder.embed_tokens.weight":
            stem = name.removesuffix(".weight")
            new = next(re.sub(old, new, stem) for old, new in T5_NAMES if re.fullmatch(old, stem))
            renamed[f"{new}.weight"] = tensor
    return renamed


CLIP_NAMES = {"layer_norm1": "norm1", "self_attn.out_proj": "attn.proj", "layer_norm2": "norm2", "mlp.fc1": "mlp.0",
              "mlp.fc2": "mlp.2"}  # fmt: skip


def clip_names(tensors: Tensors) -> Tensors:
    """transformers' names to those of wan/modules/clip.py; the text side and the heads are there too."""
    tensors = {name.removeprefix("vision_model."): tensor for name, tensor in tensors.items()}
    renamed = {
        "log_scale": torch.zeros(()),
        "textual.token_embedding.weight": torch.zeros(4, 8),
        "visual.head": torch.zeros(IMAGE_WIDTH, 16),
        "visual.cls_embedding": tensors["embeddings.class_embedding"][None, None],
        "visual.pos_embedding": tensors["embeddings.position_embedding.weight"][None],
        "visual.patch_embedding.weight": tensors["embeddings.patch_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        renamed[f"visual.pre_norm.{kind}"] = tensors[f"pre_layrnorm.{kind}"]
        renamed[f"visual.post_norm.{kind}"] = tensors[f"post_layernorm.{kind}"]
        for n in range(LAYERS + 1):
            old, new = f"encoder.layers.{n}.", f"visual.transformer.{n}."
            qkv = [tensors[f"{old}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            renamed[f"{new}attn.to_qkv.{kind}"] = torch.cat(qkv)
            for theirs, wan in CLIP_NAMES.items():
                renamed[f"{new}{wan}.{kind}"] = tensors[f"{old}{theirs}.{kind}"]
    return renamed


# ---- layout of diffusers, written by diffusers ----


def _write_diffusers(folder: Path, model: OpenModel, dtype: torch.dtype) -> None:
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, at import and about tokenizers of another class
        import diffusers

        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer(), eos_token="</s>", pad_token="<pad>", unk_token="<unk>", model_max_length=512
        )
        given = {
            "tokenizer": fast,
            "text_encoder": text_encoder(),
            "vae": _diffusers_codec(model.codec["kind"]),
            "scheduler": diffusers.UniPCMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
            ),
            "transformer": _diffusers_transformer(model, 0, dtype),
            "transformer_2": _diffusers_transformer(model, 1, dtype) if model.experts == 2 else None,
            "boundary_ratio": model.preset.boundary or None,
        }
        if model.transformer.extra_channels:
            processor = diffusers.pipelines.wan.pipeline_wan_i2v.CLIPImageProcessor
            has = model.image is not None
            given |= {
                "image_encoder": image_encoder() if has else None,
                "image_processor": processor() if has else None,
            }
            pipeline = diffusers.WanImageToVideoPipeline(**given)
        else:
            pipeline = diffusers.WanPipeline(**given, expand_timesteps=model.name == "wan2.2-ti2v-5b")
        pipeline.save_pretrained(folder, max_shard_size=SHARD_BYTES)
    (folder / "tokenizer" / "spiece.model").write_bytes(spiece())


def _diffusers_transformer(model: OpenModel, expert: int, dtype: torch.dtype):
    import diffusers

    from kinora.transformer.keys import to_diffusers

    config = reduced(model)
    image = {"image_dim": config.image_width, "added_kv_proj_dim": config.width} if config.image_width else {}
    theirs = diffusers.WanTransformer3DModel(
        num_attention_heads=config.heads, attention_head_dim=128, in_channels=config.channels + config.extra_channels,
        out_channels=config.channels, text_dim=config.text_width, freq_dim=config.frequency_width,
        ffn_dim=config.ffn_width, num_layers=config.layers, eps=config.eps, **image,
        pos_embed_seq_len=config.image_positions or None,
    )  # fmt: skip
    tensors = transformer_weights(model.name, expert)
    theirs.load_state_dict({to_diffusers(name): tensor for name, tensor in tensors.items()}, strict=True)
    return theirs if dtype == torch.float32 else theirs.to(dtype)


def _diffusers_codec(kind: str):
    import diffusers

    from kinora.codec.keys import rename

    settings = {"base_dim": CODEC_WIDTH, "z_dim": 16}
    if kind == "wan22":
        settings = {
            "base_dim": CODEC_WIDTH, "decoder_base_dim": CODEC_WIDTH, "z_dim": 48, "is_residual": True,
            "in_channels": 12, "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16,
            "scale_factor_temporal": 4,
        }  # fmt: skip
        from kinora.codec.wan22 import MEAN, STD

        settings |= {"latents_mean": list(MEAN), "latents_std": list(STD)}
    theirs = diffusers.AutoencoderKLWan(**settings)
    names, tensors = list(theirs.state_dict()), codec_weights(kind)
    renamed = rename(names)
    theirs.load_state_dict({name: tensors[renamed(name)] for name in names}, strict=True)
    return theirs


# ---- layout of ComfyUI ----


def _write_comfy(folder: Path, model: OpenModel, dtype: torch.dtype) -> None:
    kind = model.codec["kind"]
    files: dict[str, Tensors] = {}
    for expert in range(model.experts):
        tensors = transformer_weights(model.name, expert)
        if model.name == "wan2.1-t2v-1.3b":  # some files have the prefix of whole checkpoints, some have not
            tensors = {f"model.diffusion_model.{name}": tensor for name, tensor in tensors.items()}
        files[f"diffusion_models/{COMFY_FILES[model.name][expert]}"] = _cast(tensors, dtype)
    files[f"vae/{'wan2.2_vae' if kind == 'wan22' else 'wan_2.1_vae'}"] = _cast(codec_weights(kind), dtype)
    text = {name: tensor for name, tensor in text_encoder().state_dict().items() if not name.startswith("encoder.emb")}
    carried = torch.frombuffer(bytearray(spiece()), dtype=torch.uint8)
    files["text_encoders/umt5_xxl_fp16"] = _cast(text, dtype) | {"spiece_model": carried}
    if model.image is not None:
        vision = {
            name if name.startswith("vision_model.") else f"vision_model.{name}": tensor
            for name, tensor in image_encoder().state_dict().items()
        }
        files["clip_vision/clip_vision_h"] = _cast(vision, dtype) | {"visual_projection.weight": torch.zeros(8, 8)}
    for name, tensors in files.items():
        path = folder / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        safetensors.torch.save_file(tensors, path)


COMFY_FILES = {
    "wan2.1-t2v-1.3b": ["wan2.1_t2v_1.3B_fp16"],
    "wan2.1-t2v-14b": ["wan2.1_t2v_14B_fp16"],
    "wan2.1-i2v-14b-480p": ["wan2.1_i2v_480p_14B_fp16"],
    "wan2.1-i2v-14b-720p": ["wan2.1_i2v_720p_14B_fp16"],
    "wan2.1-flf2v-14b": ["wan2.1_flf2v_720p_14B_fp16"],
    "wan2.2-ti2v-5b": ["wan2.2_ti2v_5B_fp16"],
    "wan2.2-t2v-a14b": ["wan2.2_t2v_high_noise_14B_fp16", "wan2.2_t2v_low_noise_14B_fp16"],
    "wan2.2-i2v-a14b": ["wan2.2_i2v_high_noise_14B_fp16", "wan2.2_i2v_low_noise_14B_fp16"],
}
"""As Comfy-Org publishes them."""


def _cast(tensors: Tensors, dtype: torch.dtype) -> Tensors:
    """Contiguous copies of their own: safetensors takes no two names for one storage."""
    return {
        name: tensor.detach().to(dtype if tensor.is_floating_point() else tensor.dtype).clone().contiguous()
        for name, tensor in tensors.items()
    }
