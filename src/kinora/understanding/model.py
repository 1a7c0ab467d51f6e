"""The reader: a clip's pixels to what its scene says.

An encoder mixes tokens of a few moments over space and time. At the first moment every fine cell says whether the
centre of a body or of a figure lies in it. A decoder then follows each such object through all moments and tells its
slots, with a closer look at the pieces of the picture around it; the slots of the whole scene are told by tokens of
their own. Where things go and how the camera moves are told as numbers too: nobody asks for them, but exact truth about
motion is what teaches motion words quickly.

Axes: B batch, K moments, S side, N tokens, G fine cells along a side, O kinds of objects, P objects, Q queries, D
width, V values of a slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kinora.core.clip import Clip
from kinora.core.slots import SceneSlots
from kinora.understanding.blocks import ConvBlock, Decoder, Encoder, Stem, TimeEmbedding
from kinora.understanding.config import ReaderConfig
from kinora.understanding.glimpse import Glimpse
from kinora.understanding.moments import CHANNELS, choose_positions, clip_moments, times_of
from kinora.understanding.read import Evidence, find_objects, slots_of

__all__ = ["CAMERA_NUMBERS", "TRACK_NUMBERS", "Encoded", "ObjectAnswers", "Reader", "SceneAnswers"]

CAMERA_NUMBERS = 7
"""Rotation vector (radians), position (metres), both against the first moment's camera; log of magnification."""
TRACK_NUMBERS = 3
"""Where the object's centre is seen: right and down in [-1, 1] across the square, log of its distance over the
first.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """A batch of clips after the encoder."""

    picture_BCSS: Tensor
    """The first moment itself."""
    fine_BGGD: Tensor
    """Fine cells of the first moment."""
    memory_BMD: Tensor
    """What objects are looked for in: these cells, then the tokens of the later moments."""
    scene_BSD: Tensor
    moment_BKD: Tensor
    time_BKD: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneAnswers:
    """What is told of whole scenes: logits (B, V) by slot, logits of the counts, centres and the camera's path."""

    slots: dict[str, Tensor]
    counts: dict[str, Tensor]
    """Logits (B, V) of how many there are, by kind of object."""
    centre_BOGG: Tensor
    """Logit that the centre of an object of each kind (bodies, figures, animals) lies in a cell at the first moment."""
    camera_BK7: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectAnswers:
    """What is told of objects: logits (B, P, V) by kind and slot, and tracks."""

    slots: dict[str, dict[str, Tensor]]
    track_BPK3: Tensor


def _heads(width: int, slots: Mapping[str, tuple[str, ...]]) -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Linear(width, len(values)) for name, values in slots.items()})


class Reader(nn.Module):
    """Reads scenes from moments (B, K, 6, S, S) at times (B, K) in seconds."""

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.stem = Stem(CHANNELS, config.stem_width, config.stem_depth, width)
        self.time = TimeEmbedding(width)
        self.place = nn.Parameter(0.02 * torch.randn(config.token_grid**2, width))
        self.fine_place = nn.Parameter(0.02 * torch.randn(config.fine_grid, config.fine_grid, width))
        self.scene_token = nn.Parameter(0.02 * torch.randn(config.scene_tokens, width))
        self.moment_token = nn.Parameter(0.02 * torch.randn(width))
        self.encoder = Encoder(width, config.heads, config.layers)
        self.from_stem = nn.Linear(2 * config.stem_width, width)
        self.from_token = nn.Linear(width, width)
        self.fine_refine = nn.Sequential(*(ConvBlock(width) for _ in range(config.fine_depth)))
        self.fine_norm = nn.LayerNorm(width)
        centre = nn.Linear(width, len(config.kinds))
        nn.init.constant_(centre.bias, -4.0)  # centres are rare: about one cell in a hundred
        self.centre = nn.Sequential(nn.Linear(width, width), nn.GELU(approximate="tanh"), centre)
        self.scene_network = nn.Sequential(
            nn.Linear(config.scene_tokens * width, 2 * width), nn.GELU(approximate="tanh"), nn.LayerNorm(2 * width)
        )
        self.scene_heads = _heads(2 * width, config.scene_slots)
        for kind in config.kinds:  # body_count, figure_count, ...: the names that weights have
            self.add_module(f"{kind.name}_count", nn.Linear(2 * width, kind.most + 1))
        self.camera = nn.Linear(width, CAMERA_NUMBERS)
        self.kind = nn.Embedding(len(config.kinds), width)
        self.tell = nn.Parameter(0.02 * torch.randn(width))
        self.glimpse = Glimpse(config.glimpses, config.fine_grid, width) if config.glimpses else None
        self.decoder = Decoder(width, config.heads, config.decoder_layers)
        for kind in config.kinds:
            self.add_module(f"{kind.name}_heads", _heads(width, kind.slots))
        self.track = nn.Linear(width, TRACK_NUMBERS)

    def encode(self, moments_BKCSS: Tensor, times_BK: Tensor) -> Encoded:
        """Features of a batch of clips."""
        batch, moments = times_BK.shape
        fine_ACGG, token_AND = self.stem(moments_BKCSS.flatten(0, 1))
        time_BKD = self.time(times_BK)
        token_BKND = token_AND.unflatten(0, (batch, moments)) + self.place + time_BKD[:, :, None]
        moment_BKD = self.moment_token + time_BKD
        scene_BSD = self.scene_token.expand(batch, -1, -1)
        x_BND = self.encoder(torch.cat([token_BKND.flatten(1, 2), moment_BKD, scene_BSD], dim=1))
        token_BND, moment_BKD, scene_BSD = x_BND.split(
            [moments * self.config.token_grid**2, moments, self.config.scene_tokens], dim=1
        )
        token_BKND = token_BND.unflatten(1, (moments, -1))
        fine_BGGD = self._fine(fine_ACGG.unflatten(0, (batch, moments))[:, 0], token_BKND[:, 0])
        later_BKND = self.fine_norm(token_BKND[:, 1:] + self.place + time_BKD[:, 1:, None])
        return Encoded(
            picture_BCSS=moments_BKCSS[:, 0],
            fine_BGGD=fine_BGGD,
            memory_BMD=torch.cat([fine_BGGD.flatten(1, 2), later_BKND.flatten(1, 2)], dim=1),
            scene_BSD=scene_BSD,
            moment_BKD=moment_BKD,
            time_BKD=time_BKD,
        )

    def _fine(self, fine_BCGG: Tensor, token_BND: Tensor) -> Tensor:
        """First moment's stem features joined by what the encoder makes of the token above them: (B, G, G, D)."""
        side = self.config.token_grid
        told = self.from_token(token_BND).unflatten(1, (side, 1, side, 1))
        told = told.expand(-1, -1, 2, -1, 2, -1).flatten(3, 4).flatten(1, 2)
        joined_BGGD = self.from_stem(fine_BCGG.permute(0, 2, 3, 1)) + told + self.fine_place
        return self.fine_norm(self.fine_refine(joined_BGGD.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))

    def scene(self, encoded: Encoded) -> SceneAnswers:
        """What is told of the whole scenes."""
        x = self.scene_network(encoded.scene_BSD.flatten(1))
        return SceneAnswers(
            slots={name: head(x) for name, head in self.scene_heads.items()},
            counts={kind.name: self.get_submodule(f"{kind.name}_count")(x) for kind in self.config.kinds},
            centre_BOGG=self.centre(encoded.fine_BGGD).permute(0, 3, 1, 2),
            camera_BK7=self.camera(encoded.moment_BKD),
        )

    def objects(self, encoded: Encoded, cell_BP: Tensor, kind_BP: Tensor) -> ObjectAnswers:
        """What is told of the objects whose centres lie in fine cells `cell_BP` (row * G + column), of a kind by
        its number among `config.kinds`. A cell of -1 is no object: what is told there means nothing.
        """
        index_BPD = cell_BP.clamp(min=0)[..., None].expand(-1, -1, self.config.width)
        at_BPD = encoded.fine_BGGD.flatten(1, 2).gather(1, index_BPD) + self.kind(kind_BP)
        if self.glimpse is not None:
            of_N, which_N = (cell_BP >= 0).nonzero(as_tuple=True)
            closer_ND = self.glimpse(encoded.picture_BCSS, of_N, cell_BP[of_N, which_N])
            at_BPD = at_BPD.index_put((of_N, which_N), closer_ND, accumulate=True)
        follow_BPKD = at_BPD[:, :, None] + encoded.time_BKD[:, None]
        x_BPQD = torch.cat([at_BPD[:, :, None] + self.tell, follow_BPKD], dim=2)
        x_BPQD = self.decoder(x_BPQD, encoded.memory_BMD)
        tell_BPD = x_BPQD[:, :, 0]
        return ObjectAnswers(
            slots={kind.name: self._told(kind.name, tell_BPD) for kind in self.config.kinds},
            track_BPK3=self.track(x_BPQD[:, :, 1:]),
        )

    def _told(self, kind: str, tell_BPD: Tensor) -> dict[str, Tensor]:
        heads = self.get_submodule(f"{kind}_heads")
        return {name: head(tell_BPD) for name, head in heads.named_children()}

    @torch.inference_mode()
    def evidence(self, clip: Clip, readings: int = 3) -> Evidence:
        """Log probabilities for every slot of the objects found, averaged over `readings` choices of moments."""
        latent_frames = 1 + (clip.shape.frames - 1) // 4
        chosen = [choose_positions(latent_frames, self.config.moments, r, readings) for r in range(readings)]
        moments = torch.cat([clip_moments(clip, positions, self.config.size) for positions in chosen])
        device = self.place.device
        encoded = self.encode(moments.to(device), times_of(torch.tensor(chosen), clip.frame_rate).to(device))
        scene = self.scene(encoded)
        found = find_objects(
            scene.centre_BOGG.mean(0).cpu(),
            *(count_BV.log_softmax(-1).mean(0).cpu() for count_BV in scene.counts.values()),
        )
        cells = torch.tensor([cell for _, cell in found], dtype=torch.long, device=device)
        kinds = torch.tensor([kind for kind, _ in found], dtype=torch.long, device=device)
        answers = self.objects(encoded, cells.expand(len(chosen), -1), kinds.expand(len(chosen), -1))
        return Evidence.mean(scene.slots, [kind for kind, _ in found], answers.slots)

    def read(self, clip: Clip, readings: int = 3) -> SceneSlots:
        """What the clip shows, in slots. The clip has 1 + 4n frames; its central square is looked at."""
        return slots_of(self.evidence(clip, readings), self.config)
