"""Which patch answers for which object, and what a wrong answer costs."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss

from . import texts
from .data import MOST_OBJECTS_IN_BATCH, UNKNOWN, Batch


def corners(boxes: torch.Tensor) -> torch.Tensor:
    """Centre and size to x0, y0, x1, y1."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def _pairwise_iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """IoU `[batch, n, m]` of corner boxes `[batch, n, 4]` and `[batch, m, 4]`."""
    low = torch.maximum(a[:, :, None, :2], b[:, None, :, :2])
    high = torch.minimum(a[:, :, None, 2:], b[:, None, :, 2:])
    inter = (high - low).clamp(min=0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).prod(-1)[:, :, None]
    area_b = (b[..., 2:] - b[..., :2]).prod(-1)[:, None]
    return inter / (area_a + area_b - inter).clamp(min=1e-9)


@torch.no_grad()
def assign(
    boxes: torch.Tensor, own_score: torch.Tensor, batch: Batch, grid: int, patches_each: int
) -> torch.Tensor:
    """For each patch the object that it answers for, or -1: `[batch, patches]`.

    Of the patches in or beside an object's box the best `patches_each` are taken, by score for
    the object's own text and overlap of the box (as in TOOD, Feng et al. 2021,
    arXiv:2108.07755). A patch that two objects want goes to the one it fits better.

    `boxes` `[batch, patches, 4]` corners; `own_score` `[batch, patches, objects]` in [0, 1].
    """
    side = torch.arange(grid, dtype=torch.float32, device=boxes.device)
    x = ((side + 0.5) / grid).repeat(grid)[None, :, None]
    y = ((side + 0.5) / grid).repeat_interleave(grid)[None, :, None]
    target = batch.boxes[:, None]
    margin = 0.6 / grid
    near = (x > target[..., 0] - margin) & (x < target[..., 2] + margin)
    near &= (y > target[..., 1] - margin) & (y < target[..., 3] + margin)
    near &= batch.valid[:, None]
    # Where nothing is known yet, the middle of the object decides.
    middle = (batch.boxes[..., :2] + batch.boxes[..., 2:]) / 2
    away = (x - middle[:, None, :, 0]).square() + (y - middle[:, None, :, 1]).square()
    fit = own_score.clamp(min=1e-4).sqrt() * (_pairwise_iou(boxes, batch.boxes).square() + 0.02 * torch.exp(-away * grid))
    fit = torch.where(near, fit, 0.0)
    best = fit.topk(patches_each, dim=1)
    wanted = torch.zeros_like(fit).scatter_(1, best.indices, best.values)
    score, owner = wanted.max(dim=2)
    return torch.where(score > 0, owner, -1)


UNSEEN = torch.from_numpy(texts.UNSEEN)

# What cross entropy skips.
NOT_ASKED = -100


class Auxiliary(nn.Module):
    """Says of every patch which kind and colour covers its middle. Only training has it: it
    gives the image tower something to learn at every patch from the first step on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kind = nn.Linear(width, len(texts.KINDS) + 1)
        self.colour = nn.Linear(width, len(texts.COLOURS) + 1)

    def forward(self, features: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Mean cross entropy over patches; those with nothing on them count less."""
        covered = batch.instances.flatten(1)
        attributes = torch.from_numpy(batch.attributes).to(covered.device)
        named = torch.where(attributes[..., :2] == UNKNOWN, NOT_ASKED, attributes[..., :2] + 1)
        truth = F.pad(named, (0, 0, 1, 0)).gather(1, covered[..., None].expand(-1, -1, 2))
        weight = torch.where(covered > 0, 1.0, 0.15).flatten()
        # Nothing is kept out for patches with nothing on them, and where the colour is unknown.
        unseen = F.pad(UNSEEN.to(covered.device), (1, 0, 1, 0))
        of_kind = self.kind(features).float().masked_fill(unseen.T[truth[..., 1].clamp(min=0)], -torch.inf)
        of_colour = self.colour(features).float().masked_fill(unseen[truth[..., 0].clamp(min=0)], -torch.inf)
        kind = F.cross_entropy(of_kind.flatten(0, 1), truth[..., 0].flatten(), reduction="none")
        colour = F.cross_entropy(of_colour.flatten(0, 1), truth[..., 1].flatten(), reduction="none")
        return ((kind + colour) * weight).sum() / weight.sum()


SHARPNESS = 12.0

# [kinds, colours + 1]: number of the combination in `texts.SEEN`.
NAME_OF = torch.full((len(texts.KINDS), len(texts.COLOURS) + 1), NOT_ASKED)
for _name, (_kind, _colour) in enumerate(texts.SEEN):
    NAME_OF[_kind, _colour] = _name


def naming_loss(cosine: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Cross entropy of the names of whatever covers a patch: its combination among all seen ones,
    its kind among the kinds, its colour among the colours. It pulls a patch's embedding to the
    right text and away from the others much harder than the focal loss, which decides between yes
    and no. `cosine` `[batch, patches, queries]`, in the order of `texts.sample_queries`."""
    covered = batch.instances.flatten(1)
    at = covered > 0
    attributes = torch.from_numpy(batch.attributes).to(cosine.device)
    kind, colour = attributes[..., :2].gather(1, (covered - 1).clamp(min=0)[..., None].expand(-1, -1, 2))[at].T
    seen, kinds, colours = len(texts.SEEN), len(texts.KINDS), len(texts.COLOURS)
    logits = SHARPNESS * cosine[at]
    names, of_kind, of_colour, _ = logits.split([seen, kinds, colours, logits.shape[1] - seen - kinds - colours], 1)
    # See `texts.not_deniable`; the last row is for colours that are unknown.
    unseen = UNSEEN.to(cosine.device)
    of_kind = of_kind.masked_fill(F.pad(unseen.T, (0, 0, 0, 1))[colour], -torch.inf)
    of_colour = of_colour.masked_fill(unseen[kind], -torch.inf)
    loss = F.cross_entropy(of_kind, kind)
    loss = loss + F.cross_entropy(of_colour, torch.where(colour == UNKNOWN, NOT_ASKED, colour))
    # Column -1 of the table is that of unknown colours.
    return loss + F.cross_entropy(names, NAME_OF.to(cosine.device)[kind, colour])


@dataclass
class Losses:
    """One step's losses, each a scalar."""

    classes: torch.Tensor
    l1: torch.Tensor
    giou: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """As in OWL-ViT: boxes by L1 and GIoU, classes by focal loss."""
        return self.classes + 5 * self.l1 + 2 * self.giou


def detection_losses(
    logits: torch.Tensor, boxes: torch.Tensor, batch: Batch, queries: list[texts.Query], grid: int, patches_each: int
) -> Losses:
    """`logits` `[batch, patches, queries]`, `boxes` `[batch, patches, 4]` (centre and size)."""
    device = logits.device
    true_of = torch.from_numpy(texts.true_of(queries, batch.attributes)).to(device) & batch.valid[..., None]
    own_text = {combination: i for i, combination in enumerate(texts.SEEN)}
    # Without a colour the kind alone is asked; those texts follow the combinations.
    own = [
        [own_text.get((k, c), len(texts.SEEN) + max(k, 0)) for k, c, _, _ in image]
        for image in batch.attributes.tolist()
    ]
    own = torch.tensor(own, device=device)[:, None].expand(-1, logits.shape[1], -1)
    found = corners(boxes)
    owner = assign(found, logits.gather(2, own).sigmoid(), batch, grid, patches_each)

    answers = F.pad(true_of, (0, 0, 0, 1))  # the last row: nothing
    index = torch.where(owner >= 0, owner, MOST_OBJECTS_IN_BATCH)
    truth = answers.gather(1, index[..., None].expand(-1, -1, len(queries))).float()
    # Patches on things that are too hidden to be named are asked nothing.
    ignored = F.pad(batch.ignored, (1, 0)).gather(1, batch.instances.flatten(1)) & (owner < 0)
    grey = torch.from_numpy((batch.attributes[..., 1] == UNKNOWN).all(1)).to(device)[:, None, None]
    asks_colour = torch.tensor([q.colour != texts.ANY for q in queries], device=device)
    not_asked = ignored[..., None] | (grey & (owner >= 0)[..., None] & asks_colour)
    # Of whatever covers a patch, or is answered for by it.
    undeniable = torch.from_numpy(texts.not_deniable(queries, batch.attributes)).to(device)
    undeniable = F.pad(undeniable, (0, 0, 0, 1))
    covering = torch.where(owner >= 0, owner, batch.instances.flatten(1) - 1)
    covering = torch.where(covering >= 0, covering, MOST_OBJECTS_IN_BATCH)
    not_asked |= undeniable.gather(1, covering[..., None].expand(-1, -1, len(queries)))
    bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    p = logits.sigmoid()
    focal = torch.where(truth > 0, 0.5 * (1 - p).square(), 0.5 * p.square()) * bce
    classes = (focal * ~not_asked).sum() / truth.sum().clamp(min=1)

    at = owner >= 0
    target = batch.boxes.gather(1, owner.clamp(min=0)[..., None].expand(-1, -1, 4))[at]
    l1 = (found[at] - target).abs().sum(-1).mean()
    giou = generalized_box_iou_loss(found[at], target, reduction="mean")
    return Losses(classes, l1, giou)
