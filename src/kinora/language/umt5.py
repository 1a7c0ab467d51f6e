"""umT5 (Chung et al. 2023), whose encoder reads prompts for the open Wan family, through transformers.

A prompt is read once and the encoder is large (11 GB as published), so its weights stay where they are, usually mapped
from their file, and each block is brought to the place and dtype of the computation for the one call it is needed in.
That costs no more than moving all of it, and the memory of a single block.

Axes: B batch, L text positions, D width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from kinora.core.errors import InputError, PromptError, WeightsError
from kinora.language.extras import extra_package
from kinora.language.keys import SPIECE, rename
from kinora.language.pieces import PURPOSE, Pieces, read_pieces
from kinora.language.prompt import PromptReport, language_of
from kinora.weights.mapped import fill, open_tensors
from kinora.weights.naming import renamed

__all__ = ["Umt5", "Umt5Config", "open_umt5"]

WHAT = "the text encoder (umT5)"


@dataclass(frozen=True, kw_only=True)
class Umt5Config:
    """Sizes of the encoder; `kinora.presets.wan.UMT5_XXL` holds those of the published one."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    ffn_width: int
    length: int = 512
    """Most tokens of a text, its end included."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise InputError(f"A width of {self.width} cannot be shared by {self.heads} heads.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Umt5Config:
        """From a manifest's mapping; raises `WeightsError` when that is not one of an umT5."""
        sizes = {name: value for name, value in values.items() if name != "kind"}
        try:
            if values.get("kind", "umt5") != "umt5":
                raise InputError(f"it is a {values['kind']!r}")
            return cls(**sizes)
        except (TypeError, InputError) as error:
            raise WeightsError(f"This manifest describes no umT5 ({error}). Add the model again.") from error


class Umt5(nn.Module):
    """The `TextModel` of the open Wan family. Knows every word; what it reads is cut at `length` tokens."""

    stack: Any

    def __init__(
        self,
        config: Umt5Config,
        stack: Any,
        pieces: Pieces,
        *,
        dtype: torch.dtype,
        device: torch.device | str | None = None,
    ) -> None:
        """`stack` is transformers' `UMT5Stack` with its weights; use `open_umt5` to get one from files.

        `dtype` is what is computed in, whatever the weights are stored in; `device` is where (None: where they lie).
        """
        super().__init__()
        if pieces.size > config.vocabulary:
            raise WeightsError(
                f"The tokenizer has {pieces.size} tokens and {WHAT} knows {config.vocabulary}: they belong to "
                "different models. Fetch the tokenizer of the same model."
            )
        self.config = config
        self.pieces = pieces
        self.dtype = dtype
        self.device = None if device is None else torch.device(device)
        stack.block = nn.ModuleList(Fetched(block, dtype) for block in stack.block)
        stack.final_layer_norm = Fetched(stack.final_layer_norm, dtype)
        self.stack = stack
        self.eval()

    @property
    def width(self) -> int:
        return self.config.width

    @property
    def length(self) -> int:
        return self.config.length

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """See `kinora.language.text_model.TextModel`. Several texts together cost one walk through the weights."""
        rows = [self._ids(text) for text in texts]
        longest = max(map(len, rows))
        table_VD = self.stack.embed_tokens.weight
        device = self.device or table_VD.device
        ids_BL = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=table_VD.device)
        real_BL = torch.tensor([[i < len(row) for i in range(longest)] for row in rows], device=device)
        x_BLD = functional.embedding(ids_BL, table_VD).to(device, self.dtype)
        # Positions are relative and padding is masked, so a text need not be filled up to `length` as Wan does it.
        text_BLD: Tensor = self.stack(inputs_embeds=x_BLD, attention_mask=real_BL.long()).last_hidden_state
        return text_BLD.to(self.dtype) * real_BL[..., None]

    def check(self, prompt: str) -> PromptReport:
        """See `kinora.language.text_model.TextModel`."""
        tokens = len(self.pieces(prompt))
        if tokens == 1:
            raise PromptError(
                'The prompt is empty. Say what should happen, for example: "A cat walks on the grass, realistic."'
            )
        if tokens > self.length:
            raise PromptError(f"The prompt comes to {tokens} tokens; the model reads {self.length}. Shorten it.")
        words = tuple(dict.fromkeys(prompt.split()))
        return PromptReport(language=language_of(prompt), known=words, unknown=(), tokens=tokens)

    def _ids(self, text: str) -> list[int]:
        ids = self.pieces(text)
        return ids if len(ids) <= self.length else [*ids[: self.length - 1], self.pieces.end]


class Fetched(nn.Module):
    """A module whose weights stay where they are and are brought to its input's device, in `dtype`, for each call."""

    def __init__(self, inner: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.inner = inner
        self.dtype = dtype

    def forward(self, x_BLD: Tensor, *args: Any, **kwargs: Any) -> Any:
        here = {name: tensor.to(x_BLD.device, self._dtype(name)) for name, tensor in self.inner.named_parameters()}
        return functional_call(self.inner, here, (x_BLD, *args), kwargs)

    def _dtype(self, name: str) -> torch.dtype:
        # T5's last product overflows float16; transformers keeps it in float32 too.
        return torch.float32 if self.dtype == torch.float16 and name.endswith("wo.weight") else self.dtype


def open_umt5(
    values: Mapping[str, Any],
    paths: Iterable[Path | str],
    tokenizer: Iterable[Path | str] = (),
    *,
    dtype: torch.dtype,
    device: torch.device | str | None = None,
) -> Umt5:
    """The encoder from its safetensors files, mapped and not copied.

    `values` is the manifest's config; `paths` are one file or all its shards, under Wan's own names, transformers' or
    ComfyUI's; `tokenizer` names the tokenizer's files or folder, and may be left out where the weights carry it.
    Raises `WeightsError` when anything of this is missing, damaged or of another model.
    """
    config, given = Umt5Config.from_dict(values), tuple(tokenizer)
    stored = open_tensors(paths)
    carried = stored.pop(SPIECE, None)
    pieces = read_pieces(given) if carried is None or given else _carried(carried)
    tensors = renamed(stored, rename)
    stack = _stack_on_meta(config)
    # Of fp8 nothing can be computed; everything else stays as it is stored.
    small = any(tensor.is_floating_point() and tensor.element_size() == 1 for tensor in tensors.values())
    fill(stack, tensors, WHAT, dtype=torch.bfloat16 if small else None)
    return Umt5(config, stack, pieces, dtype=dtype, device=device)


def _carried(tensor: Tensor) -> Pieces:
    return Pieces.from_sentencepiece(tensor.numpy().tobytes(), f"{SPIECE} in the weights")


def _stack_on_meta(config: Umt5Config) -> Any:
    transformers = extra_package("transformers", PURPOSE)
    settings = transformers.UMT5Config(
        vocab_size=config.vocabulary,
        d_model=config.width,
        d_kv=config.width // config.heads,
        d_ff=config.ffn_width,
        num_layers=config.layers,
        num_heads=config.heads,
        feed_forward_proj="gated-gelu",
    )
    with torch.device("meta"):
        stack: Any = transformers.UMT5EncoderModel(settings).encoder
    return stack
