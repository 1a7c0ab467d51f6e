"""A director: encoded words in, a blocking out - which things stand where in the picture, and when.

A transformer that denoises everything at once has to decide at its noisiest levels what stands where, which is where a
small one is weakest (docs/log.md). A director decides it first, in a sequence of things, each its looks, its cues and
then a box at every moment, one token after the other, as language models place layouts (Feng et al. 2023,
arXiv:2305.15393, and in time Lian et al. 2024, arXiv:2309.17444). Each look is a token of its own, so that a thing's
colour is sought in the words knowing its kind, and so is each cue: what a thing does is settled before it is shown by
boxes. A box is one token of four numbers, each chosen knowing those before it. As animators do, the director draws the
keys first: a token may tell, after its own box, those between it and the token before, which takes no tokens more.

Axes: B batch, L text positions, D width, S tokens of a sequence, P things, T moments, K keys among them, N numbers of a
token, V values of a number, 2 move and speed of a camera, 3 looks, 4 box or cues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kinora.core.blocking import CUES, FILMED, KINDS, LOOKS, MOST_THINGS, NOTHING, Blocking
from kinora.language.chain import Chain, between, likely, one_hot, weights_of
from kinora.language.encoder import EncoderLayer, TextEncoderConfig, gated
from kinora.language.filmed import CameraHead
from kinora.nn.attention import attend
from kinora.nn.norms import RMSNorm
from kinora.nn.rotary import rotary_table

__all__ = ["Director", "DirectorConfig"]

MIDDLES = tuple(np.linspace(-1.5, 1.5, 97).tolist())
"""Values between which a box's middle lies, in half picture sides: four pixels of 256 apart."""
HALVES = (0.0, *np.geomspace(0.02, 3.0, 64).tolist())
"""Values between which a half extent lies: eight hundredths apart; 0 is not to be seen."""
AXES = (MIDDLES, MIDDLES, HALVES, HALVES)


@dataclass(frozen=True, kw_only=True)
class DirectorConfig:
    """Sizes of a `Director`."""

    text_width: int
    width: int = 192
    layers: int = 4
    heads: int = 4
    ffn_width: int = 512
    text_layers: int = 2
    """Layers of its own over the encoded words."""
    films: bool = False
    """Whether it says what the camera does; those of before do not."""
    cues: bool = False
    """Whether it says what things do, knowing the camera, before it says where they are; those of before do not."""
    positions: tuple[int, ...] = (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20)
    """Moments that boxes are told at, in latent frames: the first, then as many for each token."""
    together: int = 1
    """Moments that a token tells, from its own one (the key) back to the token before; the first token tells one."""

    def __post_init__(self) -> None:
        # Read from JSON it is a list.
        object.__setattr__(self, "positions", tuple(self.positions))
        if (len(self.positions) - 1) % self.together:
            raise ValueError(f"{len(self.positions)} moments are not one and then {self.together} for each token.")

    @property
    def keys(self) -> int:
        """Tokens of the boxes of one thing."""
        return len(self.positions[:: self.together])

    @property
    def thing_tokens(self) -> int:
        """Tokens of one thing: its looks, its cues, then its boxes."""
        return len(LOOKS) + (len(CUES) if self.cues else 0) + self.keys


Heard = tuple[Tensor, Tensor]
"""Keys and values of the tokens so far, of one layer."""


class Layer(nn.Module):
    """Attention to what was said before, to the words, then a gated feed-forward network, each after an RMS norm."""

    def __init__(self, config: DirectorConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm1 = RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.o = nn.Linear(width, width, bias=False)
        self.norm2 = RMSNorm(width)
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(config.text_width, 2 * width, bias=False)
        self.o2 = nn.Linear(width, width, bias=False)
        self.norm3 = RMSNorm(width)
        self.gate = nn.Linear(width, config.ffn_width, bias=False)
        self.up = nn.Linear(width, config.ffn_width, bias=False)
        self.down = nn.Linear(config.ffn_width, width, bias=False)

    def forward(
        self, x_BSD: Tensor, text_BLD: Tensor, mask_BL: Tensor, before: Heard | None = None
    ) -> tuple[Tensor, Heard]:
        """The tokens after this layer, and what later ones hear of these and of those `before`: with these, one token
        comes at a time.
        """
        query, key, value = (self._heads(part).transpose(1, 2) for part in self.qkv(self.norm1(x_BSD)).chunk(3, -1))
        if before is not None:
            key, value = (torch.cat([old, new], dim=2) for old, new in zip(before, (key, value), strict=True))
        heard = key, value
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=before is None)
        x_BSD = x_BSD + self.o(mixed.transpose(1, 2).flatten(2))
        key, value = (self._heads(part) for part in self.kv(text_BLD).chunk(2, dim=-1))
        x_BSD = x_BSD + self.o2(attend(self._heads(self.q(self.norm2(x_BSD))), key, value, mask_BL))
        y_BSD = self.norm3(x_BSD)
        return x_BSD + gated(self.gate, self.up, self.down, y_BSD), heard

    def _heads(self, x_BSD: Tensor) -> Tensor:
        return x_BSD.unflatten(-1, (self.heads, -1))


class Director(nn.Module):
    """Writes blockings."""

    def __init__(self, config: DirectorConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.thing = nn.Parameter(torch.randn(MOST_THINGS + 1, width) * 0.02)
        self.moment = nn.Parameter(torch.randn(config.thing_tokens, width) * 0.02)
        reading = TextEncoderConfig(
            vocabulary=1, width=config.text_width, heads=config.heads, ffn_width=config.ffn_width
        )
        self.words = nn.ModuleList(EncoderLayer(reading) for _ in range(config.text_layers))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = RMSNorm(width)
        # The last value of each look and cue is "nothing"; as a kind it ends the sequence.
        self.looks = nn.ModuleList(Chain(width, [len(values) + 1]) for values in LOOKS)
        self.cues = nn.ModuleList(Chain(width, [len(values) + 1]) for values in CUES if config.cues)
        self.filmed = nn.ModuleList(nn.Embedding(len(values) + 1, width) for values in FILMED if config.cues)
        self.box = Chain(width, [len(values) for values in AXES * config.together])
        self.camera = CameraHead(config.text_width) if config.films else None
        for module in (*self.words.modules(), *self.layers.modules()):
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        tables = [table for chain, _ in self._said for table in chain.told]
        for table in (*tables, *self.box.told, *self.filmed):
            nn.init.normal_(table.weight, std=0.05)

    def loss(
        self,
        text_BLD: Tensor,
        look_BP3: Tensor,
        box_BTP4: Tensor,
        filmed_B2: Tensor | None = None,
        cue_BP4: Tensor | None = None,
    ) -> Tensor:
        """Mean cross-entropy of looks plus that of cues plus that of boxes, a scalar. `look_BP3` with -1 for nothing,
        things first, at least one in the batch; boxes at `config.positions`; `cue_BP4` for one that says cues. With
        `filmed_B2`, plus that of what the camera does.
        """
        things = int((look_BP3[..., 0] != NOTHING).sum(dim=1).max())
        real_BP = look_BP3[:, :things, 0] != NOTHING
        value_BPN = look_BP3 if cue_BP4 is None else torch.cat([look_BP3, cue_BP4], dim=-1)
        said = [(chain, weights_of(value_BP[:, :things], values))
                for (chain, values), value_BP in zip(self._said, value_BPN.unbind(-1), strict=True)]  # fmt: skip
        box_BPKN = _keyed(box_BTP4[:, :, :things].transpose(1, 2), self.config.together)
        box_weights = [between(box_BPKN[..., at], values) for at, values in enumerate(AXES * self.config.together)]
        said_told = [chain.embed([weight])[:, :, None] for chain, weight in said]
        told_BPSD = torch.cat([*said_told, self.box.embed(box_weights)], dim=2)
        words_BLD = self._words(text_BLD)
        state_BSD = self._states(told_BPSD.flatten(1, 2), words_BLD, self._seen(filmed_B2))
        # Token s is told by the state before it; one more kind, nothing, ends the sequence.
        state_BPSD = state_BSD[:, :-1].unflatten(1, (things, -1))
        ends_BD, nothing_B = state_BSD[:, -1:], torch.full_like(look_BP3[:, :1, 0], NOTHING)
        asked_BP = torch.arange(things + 1, device=real_BP.device) <= real_BP.sum(dim=1, keepdim=True)
        kinds = weights_of(torch.cat([look_BP3[:, :things, 0], nothing_B], dim=1), KINDS)
        first = self._wrong(said[0][0], torch.cat([state_BPSD[:, :, 0], ends_BD], dim=1), [kinds], asked_BP)
        others = [
            self._wrong(chain, state_BPSD[:, :, at], [weight], real_BP)
            for at, (chain, weight) in enumerate(said[1:], start=1)
        ]
        each_BPK = real_BP[..., None].expand(-1, -1, self.config.keys)
        boxes = self._wrong(self.box, state_BPSD[:, :, len(said) :], box_weights, each_BPK)
        looks, cues = [first, *others[: len(LOOKS) - 1]], others[len(LOOKS) - 1 :]
        told = torch.stack(looks).mean() + boxes
        if cues:
            told = told + torch.stack(cues).mean()
        if self.camera is None or filmed_B2 is None:
            return told
        return told + self.camera.loss(words_BLD, _spoken(text_BLD), filmed_B2)

    @torch.no_grad()
    def direct(self, text_1LD: Tensor, seed: int) -> Blocking:
        """A blocking for one encoded text (1, L, D); the seed decides it. Everything happens on the CPU."""
        generator = torch.Generator().manual_seed(seed)
        words_1LD = self._words(text_1LD)
        filmed = self._filmed(words_1LD)
        speech = Speech(self, words_1LD, self._seen(torch.tensor([filmed])))
        looks: list[list[int]] = []
        cues: list[list[int]] = []
        boxes: list[Tensor] = []
        while len(looks) < MOST_THINGS:
            kind, *others = self._said
            said = [self._say_one(speech, *kind, generator)]
            if said == [NOTHING]:
                break
            said += [self._say_one(speech, *other, generator) for other in others]
            looks.append(said[: len(LOOKS)])
            cues.append(said[len(LOOKS) :])
            rows = []
            for _ in range(self.config.keys):
                row, told_D = self._say_boxes(speech.state_D, generator)
                speech.say(told_D)
                rows.append(row)
            boxes.append(_in_time(torch.tensor(rows), self.config.together))
        box_PT4 = torch.stack(boxes).numpy() if boxes else np.zeros((0, len(self.config.positions), 4), np.float32)
        return Blocking(
            look_P3=np.array(looks, dtype=np.int64).reshape(-1, len(LOOKS)),
            box_TP4=box_PT4.swapaxes(0, 1),
            position_T=np.array(self.config.positions, dtype=np.float32),
            filmed=filmed,
            cue_P4=np.array(cues, dtype=np.int64).reshape(-1, len(CUES)) if self.config.cues else None,
        )

    def _filmed(self, words_1LD: Tensor) -> tuple[int, int]:
        """What the camera most likely does; a move that nobody asked for would be a surprise."""
        if self.camera is None:
            return 0, NOTHING
        kind, speed = (int(logits_1V.argmax()) for logits_1V in self.camera(words_1LD, _spoken(words_1LD)))
        return kind, speed if kind else NOTHING

    @property
    def _said(self) -> list[tuple[Chain, tuple[str, ...]]]:
        """What says each single value of a thing, looks before cues, and which values there are."""
        chains = [chain for chain in (*self.looks, *self.cues) if isinstance(chain, Chain)]
        return list(zip(chains, (LOOKS + CUES)[: len(chains)], strict=True))

    def _seen(self, filmed_B2: Tensor | None) -> Tensor | None:
        """What is told (B, D) before the first thing: the camera that sees them all."""
        if filmed_B2 is None or not self.config.cues:
            return None
        told = [
            weights_of(filmed_B2[:, at], FILMED[at]) @ table.weight  # type: ignore[operator]
            for at, table in enumerate(self.filmed)
        ]
        return torch.stack(told).sum(dim=0)

    def _words(self, text_BLD: Tensor) -> Tensor:
        """The words as the director reads them; padding stays zero."""
        real_BL = _spoken(text_BLD)
        place_BL = torch.arange(text_BLD.shape[1], device=text_BLD.device).expand_as(real_BL)
        rotary = rotary_table(place_BL, 1, 1, self.config.text_width // self.config.heads)
        x_BLD = text_BLD
        for layer in self.words:
            x_BLD = layer(x_BLD, rotary, real_BL)
        return x_BLD * real_BL[..., None]

    def _states(self, told_BSD: Tensor, text_BLD: Tensor, seen_BD: Tensor | None = None) -> Tensor:
        """States (B, S + 1, D): what is known before each token, and after the last one."""
        tokens = told_BSD.shape[1] + 1
        place_S = torch.arange(tokens, device=told_BSD.device)
        each = self.config.thing_tokens
        known_SD = self.thing[place_S // each] + self.moment[place_S % each]
        start_B1D = told_BSD.new_zeros(len(told_BSD), 1, told_BSD.shape[2]) if seen_BD is None else seen_BD[:, None]
        x_BSD = torch.cat([start_B1D, told_BSD], dim=1) + known_SD
        mask_BL = _spoken(text_BLD)
        for layer in self.layers:
            x_BSD, _ = layer(x_BSD, text_BLD, mask_BL)
        normed: Tensor = self.norm(x_BSD)
        return normed

    def _say_one(self, speech: Speech, chain: Chain, values: Sequence[str], generator: torch.Generator) -> int:
        """One token of a single value, or `NOTHING`."""
        value = likely(chain.logits(speech.state_D, []), generator)
        if values is KINDS and value == len(values):
            return NOTHING  # it ends the sequence: nothing comes after it
        speech.say(chain.embed([one_hot(value, len(values) + 1)]))
        return NOTHING if value == len(values) else value

    def _say_boxes(self, state_D: Tensor, generator: torch.Generator) -> tuple[list[float], Tensor]:
        """One token of boxes: four numbers of each, and what they tell the next."""
        weights: list[Tensor] = []
        row: list[float] = []
        for values in AXES * self.config.together:
            logits_V = self.box.logits(state_D, weights)
            # A number between two values was taught as a share of both, so around the value drawn the mean tells it.
            drawn = likely(logits_V, generator)
            near_V = torch.zeros_like(logits_V)
            near = slice(max(drawn - 1, 0), drawn + 2)
            near_V[near] = logits_V[near].softmax(dim=0)
            number = float(near_V @ torch.tensor(values, dtype=near_V.dtype))
            row.append(number)
            weights.append(between(torch.tensor(number), values))
        return row, self.box.embed(weights)

    def _wrong(self, chain: Chain, state: Tensor, weights: Sequence[Tensor], asked: Tensor) -> Tensor:
        """Mean cross-entropy of a chain's numbers over the tokens that are there."""
        state, weights = state[asked], [weight[asked] for weight in weights]
        losses = [
            functional.cross_entropy(chain.logits(state, weights[:at]), weights[at]) for at in range(len(weights))
        ]
        return torch.stack(losses).mean()


class Speech:
    """A director speaking, token by token; nothing is worked out twice."""

    def __init__(self, director: Director, text_1LD: Tensor, seen_1D: Tensor | None = None) -> None:
        self._director = director
        self._text_1LD = text_1LD
        self._mask_1L = _spoken(text_1LD)
        self._heard: list[Heard | None] = [None] * len(director.layers)
        self._said = 0
        self.say(torch.zeros(director.config.width) if seen_1D is None else seen_1D[0])

    def say(self, told_D: Tensor) -> None:
        """One token more: what its numbers tell (before the first, what the camera does)."""
        director, each = self._director, self._director.config.thing_tokens
        x_11D = (told_D + director.thing[self._said // each] + director.moment[self._said % each])[None, None]
        for at, layer in enumerate(director.layers):
            x_11D, self._heard[at] = layer(x_11D, self._text_1LD, self._mask_1L, self._heard[at])
        self._said += 1
        self.state_D: Tensor = director.norm(x_11D)[0, 0]
        """What is known before the next token."""


def _keyed(box_BPT4: Tensor, together: int) -> Tensor:
    """Boxes as tokens tell them (B, P, K, 4 together): the key's, then those before it, later ones first. Before the
    first there is only itself.
    """
    begin_BPT4 = box_BPT4[:, :, :1].expand(-1, -1, together - 1, -1)
    return torch.cat([begin_BPT4, box_BPT4], dim=2).unflatten(2, (-1, together)).flip(3).flatten(3)


def _in_time(told_KN: Tensor, together: int) -> Tensor:
    """The boxes (T, 4) that the tokens of a thing told."""
    return told_KN.unflatten(1, (together, 4)).flip(1).flatten(0, 1)[together - 1 :]


def _spoken(text_BLD: Tensor) -> Tensor:
    """Where there are words (B, L); padding is zero."""
    return text_BLD.abs().amax(dim=-1) > 0
