"""The reader: a clip's pixels to what its scene says.

Convolutions look at a few moments, an encoder mixes their tokens over space and time. At the first moment every fine
cell says whether the centre of a body or of a figure lies in it, and how large a box around it is. A decoder then
follows each such object through all moments and tells its slots, with a closer look at what the box holds; the slots of
the whole scene are told by tokens of their own. Where things go and how the camera moves are told as numbers too:
nobody asks for them, but exact truth about motion is what teaches motion words quickly.

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
from kinora.understanding.blocks import Decoder, Encoder, Eyes, TimeEmbedding
from kinora.understanding.config import ReaderConfig
from kinora.understanding.flow import Motion
from kinora.understanding.glimpse import LEAST, Glimpse
from kinora.understanding.moments import COLOURS, choose_positions, clip_moments, resized, shrink, times_of
from kinora.understanding.read import Evidence, find_objects, slots_of

__all__ = ["BOX_NUMBERS", "CAMERA_NUMBERS", "TRACK_NUMBERS", "Encoded", "ObjectAnswers", "Reader", "SceneAnswers"]

CAMERA_NUMBERS = 7
"""Rotation vector (radians), position (metres), both against the first moment's camera; log of magnification."""
TRACK_NUMBERS = 3
"""Where the object's centre is seen: right and down in [-1, 1] across the square, log of its distance over the
first.
"""
CAMERA_SLOTS = ("camera", "camera_speed")
"""What the drift of whole pictures says straight out."""
BOX_NUMBERS = 4
"""How far right of its cell's middle and below it a box's middle lies, in cells; logs of its half extents, in half
picture sides.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """A batch of clips after the encoder."""

    close_B3SS: Tensor
    """The first moment's picture, as large as a closer look needs it."""
    seen_BKCGG: Tensor
    """Features of every moment's fine cells before the encoder."""
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
        self.eyes = Eyes(COLOURS, (*config.eye_widths, width), config.eye_depths)
        # Convolutions grow what passes: unless it is brought to one size, places, times and motion are lost beside it.
        self.seen_norm = nn.LayerNorm(config.eye_widths[1])
        self.token_norm = nn.LayerNorm(width)
        self.motion = Motion(config.fine_grid, config.eye_widths[1], width)
        self.time = TimeEmbedding(width)
        self.place = nn.Parameter(0.02 * torch.randn(config.token_grid**2, width))
        self.fine_place = nn.Parameter(0.02 * torch.randn(config.fine_grid, config.fine_grid, width))
        self.scene_token = nn.Parameter(0.02 * torch.randn(config.scene_tokens, width))
        self.moment_token = nn.Parameter(0.02 * torch.randn(width))
        self.encoder = Encoder(width, config.heads, config.layers)
        self.from_eyes = nn.Linear(config.eye_widths[1], width)
        self.from_token = nn.Linear(width, width)
        self.fine_norm = nn.LayerNorm(width)
        centre = nn.Linear(width, len(config.kinds))
        nn.init.constant_(centre.bias, -4.0)  # centres are rare: about one cell in a hundred
        self.centre = nn.Sequential(nn.Linear(width, width), nn.GELU(approximate="tanh"), centre)
        self.box = nn.Sequential(nn.Linear(width, width), nn.GELU(approximate="tanh"), nn.Linear(width, BOX_NUMBERS))
        self.scene_network = nn.Sequential(
            nn.Linear((config.scene_tokens + 1) * width, 2 * width),
            nn.GELU(approximate="tanh"),
            nn.LayerNorm(2 * width),
        )
        self.scene_heads = _heads(2 * width, config.scene_slots)
        told_by_drift = {name: values for name, values in config.scene_slots.items() if name in CAMERA_SLOTS}
        self.drift_heads = _heads(width, told_by_drift)
        for head in self.drift_heads.parameters():
            nn.init.zeros_(head)
        for kind in config.kinds:  # body_count, figure_count, ...: the names that weights have
            self.add_module(f"{kind.name}_count", nn.Linear(2 * width, kind.most + 1))
        self.camera = nn.Linear(width, CAMERA_NUMBERS)
        self.kind = nn.Embedding(len(config.kinds), width)
        self.tell = nn.Parameter(0.02 * torch.randn(width))
        self.glimpse = Glimpse(width)
        self.from_box = nn.Linear(BOX_NUMBERS, width)
        self.from_there = nn.Linear(config.eye_widths[1], width)
        self.decoder = Decoder(width, config.heads, config.decoder_layers)
        for kind in config.kinds:
            self.add_module(f"{kind.name}_heads", _heads(width, kind.slots))
        self.track = nn.Linear(width, TRACK_NUMBERS)

    def encode(
        self, moments_BKCSS: Tensor, times_BK: Tensor, close_B3SS: Tensor | None = None, *, learn_to_see: bool = True
    ) -> Encoded:
        """Features of a batch of clips; `close_B3SS` are their first moments' pictures at full size, where there are
        such. Without `learn_to_see` no gradient reaches the eyes, which cost most of a clip's lesson.
        """
        batch, moments = times_BK.shape
        moments_ACSS = moments_BKCSS.flatten(0, 1)
        with torch.set_grad_enabled(torch.is_grad_enabled() and learn_to_see):
            fine_ACGG, token_AND = self.eyes(moments_ACSS[:, :COLOURS])
        fine_ACGG = self.seen_norm(fine_ACGG.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        token_AND = self.token_norm(token_AND)
        time_BKD = self.time(times_BK)
        drift_BKD = torch.zeros_like(time_BKD)
        if moments > 1:  # nothing moves in one picture
            moved = self.motion(moments_ACSS)
            fine_ACGG, token_AND = fine_ACGG + moved.fine_ACGG, token_AND + moved.token_AND
            drift_BKD = moved.moment_AD.unflatten(0, (batch, moments))
        moment_BKD = self.moment_token + time_BKD + drift_BKD
        seen_BKCGG = fine_ACGG.unflatten(0, (batch, moments))
        token_BKND = token_AND.unflatten(0, (batch, moments)) + self.place + time_BKD[:, :, None]
        scene_BSD = self.scene_token.expand(batch, -1, -1)
        x_BND = self.encoder(torch.cat([token_BKND.flatten(1, 2), moment_BKD, scene_BSD], dim=1))
        token_BND, moment_BKD, scene_BSD = x_BND.split(
            [moments * self.config.token_grid**2, moments, self.config.scene_tokens], dim=1
        )
        token_BKND = token_BND.unflatten(1, (moments, -1))
        fine_BGGD = self._fine(seen_BKCGG[:, 0], token_BKND[:, 0])
        later_BKND = self.fine_norm(token_BKND[:, 1:] + self.place + time_BKD[:, 1:, None])
        if close_B3SS is None:
            close_B3SS = moments_BKCSS[:, 0, :3]
        return Encoded(
            close_B3SS=resized(close_B3SS[:, None], self.config.close)[:, 0],
            seen_BKCGG=seen_BKCGG,
            fine_BGGD=fine_BGGD,
            memory_BMD=torch.cat([fine_BGGD.flatten(1, 2), later_BKND.flatten(1, 2)], dim=1),
            scene_BSD=scene_BSD,
            # Once more behind the encoder: what a camera does is told by the drift alone, and nearly straight from it.
            moment_BKD=moment_BKD + drift_BKD,
            time_BKD=time_BKD,
        )

    def _fine(self, fine_BCGG: Tensor, token_BND: Tensor) -> Tensor:
        """First moment's features joined by what the encoder makes of the token above them: (B, G, G, D)."""
        side = self.config.token_grid
        told = self.from_token(token_BND).unflatten(1, (side, 1, side, 1))
        told = told.expand(-1, -1, 2, -1, 2, -1).flatten(3, 4).flatten(1, 2)
        return self.fine_norm(self.from_eyes(fine_BCGG.permute(0, 2, 3, 1)) + told + self.fine_place)

    def boxes(self, encoded: Encoded, cell_BP: Tensor) -> Tensor:
        """Boxes (B, P, 4) of the objects whose centres lie in fine cells `cell_BP`: middle (right, down) and half
        extents, in half picture sides from the picture's middle.
        """
        cell_BP = cell_BP.clamp(min=0)
        side = self.config.fine_grid
        told_BP4 = self.box(self._at(encoded, cell_BP))
        cell_BP2 = torch.stack([cell_BP % side, cell_BP // side], dim=-1)
        middle_BP2 = (cell_BP2 + 0.5 + told_BP4[..., :2]) * (2 / side) - 1
        return torch.cat([middle_BP2, told_BP4[..., 2:].clamp(max=2.0).exp()], dim=-1)

    def _at(self, encoded: Encoded, cell_BP: Tensor) -> Tensor:
        """Features (B, P, D) of fine cells."""
        index_BPD = cell_BP.clamp(min=0)[..., None].expand(-1, -1, self.config.width)
        return encoded.fine_BGGD.flatten(1, 2).gather(1, index_BPD)

    def scene(self, encoded: Encoded) -> SceneAnswers:
        """What is told of the whole scenes."""
        moment_BD = encoded.moment_BKD.mean(1)
        x = self.scene_network(torch.cat([encoded.scene_BSD.flatten(1), moment_BD], dim=1))
        slots = {name: head(x) for name, head in self.scene_heads.items()}
        slots |= {name: slots[name] + head(moment_BD) for name, head in self.drift_heads.items()}
        return SceneAnswers(
            slots=slots,
            counts={kind.name: self.get_submodule(f"{kind.name}_count")(x) for kind in self.config.kinds},
            centre_BOGG=self.centre(encoded.fine_BGGD).permute(0, 3, 1, 2),
            camera_BK7=self.camera(encoded.moment_BKD),
        )

    def objects(
        self, encoded: Encoded, cell_BP: Tensor, kind_BP: Tensor, box_BP4: Tensor | None = None
    ) -> ObjectAnswers:
        """What is told of the objects whose centres lie in fine cells `cell_BP` (row * G + column), of a kind by
        its number among `config.kinds`, in boxes as `boxes` gives them, which are asked for where they are not told. A
        cell of -1 is no object: what is told there means nothing.
        """
        if box_BP4 is None:
            box_BP4 = self.boxes(encoded, cell_BP)
        placed_BP4 = torch.cat([box_BP4[..., :2], box_BP4[..., 2:].clamp(min=LEAST).log()], dim=-1)
        at_BPD = self._at(encoded, cell_BP) + self.kind(kind_BP) + self.from_box(placed_BP4)
        of_N, which_N = (cell_BP >= 0).nonzero(as_tuple=True)
        closer_ND = self.glimpse(encoded.close_B3SS, of_N, box_BP4[of_N, which_N])
        at_BPD = at_BPD.index_put((of_N, which_N), closer_ND.to(at_BPD.dtype), accumulate=True)
        follow_BPKD = at_BPD[:, :, None] + encoded.time_BKD[:, None] + self._there(encoded, cell_BP)
        x_BPQD = torch.cat([at_BPD[:, :, None] + self.tell, follow_BPKD], dim=2)
        x_BPQD = self.decoder(x_BPQD, encoded.memory_BMD)
        tell_BPD = x_BPQD[:, :, 0]
        return ObjectAnswers(
            slots={kind.name: self._told(kind.name, tell_BPD) for kind in self.config.kinds},
            track_BPK3=self.track(x_BPQD[:, :, 1:]),
        )

    def _there(self, encoded: Encoded, cell_BP: Tensor) -> Tensor:
        """What is seen at every moment in the cells (B, P) of the first: (B, P, K, D). Whether a thing is still there,
        and moves as it passes, need not be searched for.
        """
        moments, channels = encoded.seen_BKCGG.shape[1:3]
        index_BKCP = cell_BP.clamp(min=0)[:, None, None].expand(-1, moments, channels, -1)
        seen_BKCP = encoded.seen_BKCGG.flatten(3).gather(3, index_BKCP)
        return self.from_there(seen_BKCP.permute(0, 3, 1, 2))

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
        close_13SS = shrink(torch.from_numpy(clip.frames_FHWC[:1].copy())[None], self.config.close)[:, 0].to(device)
        encoded = self.encode(
            moments.to(device),
            times_of(torch.tensor(chosen), clip.frame_rate).to(device),
            close_13SS.expand(len(chosen), -1, -1, -1),
        )
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
