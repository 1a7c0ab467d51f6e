"""What the reader is trained on: its answers against exact truth.

Axes: B batch, K moments, S side, O kinds of objects, P objects, A attributes, V values, G fine cells.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kinora.understanding.config import ReaderConfig
from kinora.understanding.glimpse import LEAST
from kinora.understanding.model import Encoded, ObjectAnswers, Reader, SceneAnswers
from kinora.understanding.truth import UNSAID, Asked, ReaderTruth

__all__ = ["reader_loss"]

COUNTS = {"body": "bodies", "figure": "figures", "animal": "animals"}
"""What the number of each kind is called among the slots."""
CENTRE_WEIGHT, BOX_WEIGHT, PATH_WEIGHT = 4.0, 2.0, 2.0
"""An object that is not found has all its slots wrong."""
CENTRE_SPREAD = 0.8
"""Cells around a centre that are forgiven for answering too: standard deviation of a bump, in fine cells."""
CAMERA_SCALE = (8.0, 8.0, 8.0, 1.0, 1.0, 1.0, 4.0)
"""Makes a usual camera path about 1 in every number."""


def reader_loss(
    reader: Reader, encoded: Encoded, truth: ReaderTruth, asked: Asked | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of what is told of `encoded` clips, and figures for the log: share right by slot (`right/...`) and the
    terms (`loss/...`).

    Objects are asked about at the cells and boxes `asked`, their own unless told: what is found at work is a little
    off. Figures are tensors without gradient; a slot that no clip of the batch has is left out.
    """
    config = reader.config
    asked = Asked(cell_BP=truth.cell_BP, box_BP4=truth.box_BP4) if asked is None else asked
    scene = reader.scene(encoded)
    numbers = [number for number, kind in enumerate(config.kinds) for _ in range(kind.most)]
    kind_BP = torch.tensor(numbers, device=truth.cell_BP.device).expand_as(truth.cell_BP)
    objects = reader.objects(encoded, asked.cell_BP, kind_BP, asked.box_BP4)
    answers = _questions(scene, objects, truth, config)
    terms = {name: _balanced_entropy(logits, value) for name, (logits, value) in answers.items()}
    terms["centre"] = CENTRE_WEIGHT * _centre_loss(scene.centre_BOGG, truth, config)
    terms["box"] = BOX_WEIGHT * _box_loss(reader.boxes(encoded, asked.cell_BP), truth)
    terms["path"] = PATH_WEIGHT * _path_loss(scene.camera_BK7, objects.track_BPK3, truth)
    figures = {f"loss/{name}": term.detach() for name, term in terms.items()}
    figures |= {
        f"right/{name}": (logits.argmax(-1) == value)[value != UNSAID].float().mean()
        for name, (logits, value) in answers.items()
        if bool((value != UNSAID).any())
    }
    return torch.stack(list(terms.values())).mean(), figures


def _questions(
    scene: SceneAnswers, objects: ObjectAnswers, truth: ReaderTruth, config: ReaderConfig
) -> dict[str, tuple[Tensor, Tensor]]:
    """Every question by slot: logits (..., V) and the index of the true value (...)."""
    questions = {
        COUNTS[kind.name]: (scene.counts[kind.name], truth.count_BO[:, number])
        for number, kind in enumerate(config.kinds)
    }
    for index, name in enumerate(config.scene_slots):
        questions[name] = (scene.slots[name], truth.scene_BS[:, index])
    for kind in config.kinds:
        for index, name in enumerate(kind.slots):
            logits_BPV = objects.slots[kind.name][name][:, kind.places]
            questions[f"{kind.name}.{name}"] = (logits_BPV, truth.value_BPA[:, kind.places, index])
    return questions


def _balanced_entropy(logits: Tensor, value: Tensor) -> Tensor:
    """Cross entropy in which a value's examples together weigh as the root of their number in the batch: rare values
    count.
    """
    logits_NV, value_N = logits.flatten(0, -2), value.flatten()
    said_N = value_N != UNSAID
    count_V = torch.bincount(value_N.clamp(min=0), weights=said_N.float(), minlength=logits_NV.shape[-1])
    weight_N = said_N * count_V.clamp(min=1).rsqrt()[value_N.clamp(min=0)]
    entropy_N = functional.cross_entropy(logits_NV, value_N.clamp(min=0), reduction="none")
    return (weight_N * entropy_N).sum() / weight_N.sum().clamp(min=1e-6)


def _centre_loss(centre_BOGG: Tensor, truth: ReaderTruth, config: ReaderConfig) -> Tensor:
    """Focal loss on centres, forgiving next to one (Zhou, Wang, Kraehenbuehl 2019, "Objects as points", equation 1)."""
    batch, _, side, _ = centre_BOGG.shape
    grid = torch.arange(side, device=centre_BOGG.device)
    row_BP, column_BP = truth.cell_BP // side, truth.cell_BP % side
    down_BPG = (grid - row_BP[..., None]).square()
    across_BPG = (grid - column_BP[..., None]).square()
    bump_BPGG = torch.exp((down_BPG[..., :, None] + across_BPG[..., None, :]) / (-2 * CENTRE_SPREAD**2))
    bump_BPGG = bump_BPGG * (truth.cell_BP != UNSAID)[..., None, None]
    bump_BOGG = torch.stack([bump_BPGG[:, kind.places].amax(1) for kind in config.kinds], dim=1)
    yes, no = functional.logsigmoid(centre_BOGG), functional.logsigmoid(-centre_BOGG)
    hit = bump_BOGG == 1
    focal = torch.where(hit, no.exp().square() * yes, (1 - bump_BOGG) ** 4 * yes.exp().square() * no)
    return -focal.sum() / hit.sum().clamp(min=batch)


def _box_loss(box_BP4: Tensor, truth: ReaderTruth) -> Tensor:
    """How far a middle is off, in half extents, and how far these are, as logarithms."""
    said_BP = truth.cell_BP != UNSAID
    half_BP2 = truth.box_BP4[..., 2:].clamp(min=LEAST)
    moved_BP2 = (box_BP4[..., :2] - truth.box_BP4[..., :2]) / half_BP2
    stretched_BP2 = box_BP4[..., 2:].clamp(min=1e-3).log() - half_BP2.log()
    off_BP4 = torch.cat([moved_BP2, stretched_BP2], dim=-1)[said_BP]
    return functional.smooth_l1_loss(off_BP4, torch.zeros_like(off_BP4), beta=0.1, reduction="sum") / max(
        1, off_BP4.numel()
    )


def _path_loss(camera_BK7: Tensor, track_BPK3: Tensor, truth: ReaderTruth) -> Tensor:
    scale_7 = camera_BK7.new_tensor(CAMERA_SCALE)
    camera = functional.smooth_l1_loss(camera_BK7, truth.camera_BK7.float() * scale_7, beta=0.1)
    apart_BPK = functional.smooth_l1_loss(track_BPK3, truth.track_BPK3.float(), beta=0.05, reduction="none").mean(-1)
    tracked_BPK = truth.tracked_BPK.float()
    return 0.5 * camera + 2.0 * (apart_BPK * tracked_BPK).sum() / tracked_BPK.sum().clamp(min=1)
