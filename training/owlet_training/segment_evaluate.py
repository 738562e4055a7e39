"""Mean IoU while the segmenter trains, so that a curve tells how it goes. What counts in the end is
measured by Owlet itself (`owlet eval`)."""

from pathlib import Path

import torch
from torch.nn import functional as F
from transformers import SamModel

from .segment_augment import Prompts, loosened, on_canvas
from .segment_data import BOX, HARDLY_VISIBLE, Pictures
from .segment_model import SIDE_PX, draw

PICTURES_AT_ONCE = 16
LOOSE_SHARE = 0.06


class Evaluation:
    """The first pictures of a data set, and the objects in them that can be recognised."""

    def __init__(self, folder: Path, device: torch.device, most_pictures: int) -> None:
        self.pictures = Pictures.load(folder, device, most_pictures)

    @torch.no_grad()
    def mean_iou(self, model: SamModel) -> dict[str, float]:
        """Mean over objects of the IoU, at the size of the picture, of the mask that the network
        itself thinks best: for true boxes, for boxes as a detector gives them, for a point. In f32, as
        Owlet runs it: in bf16 the decoder loses a quarter of the IoU of true boxes."""
        found: dict[str, list[torch.Tensor]] = {"box": [], "loose": [], "point": []}
        pictures = self.pictures
        high, wide = pictures.pixels.shape[1:3]
        noise = torch.Generator(pictures.pixels.device).manual_seed(0)
        for start in range(0, len(pictures), PICTURES_AT_ONCE):
            part = slice(start, start + PICTURES_AT_ONCE)
            values = on_canvas(pictures.pixels[part], SIDE_PX)
            objects, instances = pictures.objects[part], pictures.instances[part]
            asked = objects[..., HARDLY_VISIBLE] == 0
            boxes = objects[..., BOX].clamp(min=0)
            numbers = torch.arange(1, boxes.shape[1] + 1, device=boxes.device)
            truth = instances[:, None] == numbers[:, None, None]
            content = torch.tensor([[wide, high]], dtype=torch.float32, device=boxes.device).expand(len(boxes), -1)
            shares = torch.full_like(boxes[..., 0], LOOSE_SHARE)
            points = _deepest(truth)[:, :, None]
            for name, prompts in {
                "box": Prompts(boxes, None, None),
                "loose": Prompts(loosened(boxes, content, shares, noise), None, None),
                "point": Prompts(None, points, torch.ones_like(points[..., 0], dtype=torch.long)),
            }.items():
                logits, iou = draw(model, values, prompts, several=True, mixed=False)
                best = logits.take_along_dim(iou.argmax(-1)[..., None, None, None], dim=2)[:, :, 0]
                drawn = F.interpolate(best, scale_factor=2, mode="bilinear", align_corners=False)[..., :high, :wide] > 0
                overlap, union = (drawn & truth).sum((-1, -2)), (drawn | truth).sum((-1, -2))
                found[name].append((overlap / union.clamp(min=1))[asked])
        return {name: float(torch.cat(values).mean()) for name, values in found.items()}


def _deepest(masks: torch.Tensor) -> torch.Tensor:
    """f32 `[…, 2]`: x, y of a pixel deep inside of each bool `[…, height, width]`: the one with most
    of its neighbourhood on the object."""
    shape = masks.shape
    around = F.avg_pool2d(masks.float().flatten(0, -3)[:, None], 15, 1, 7, count_include_pad=True)
    around = around[:, 0] * masks.flatten(0, -3)
    index = around.flatten(1).argmax(1).view(shape[:-2])
    return torch.stack([index % shape[-1], index // shape[-1]], dim=-1).float()
