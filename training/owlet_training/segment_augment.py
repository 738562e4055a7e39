"""What a step of the segmenter learns from: cut, turned, coloured pictures with objects of others
pasted in, and prompts for some of the objects. All of it runs where the pictures are."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from .segment_data import MOST_OBJECTS, Pictures

# The processor of SAM checkpoints has these.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
LUMA = (0.299, 0.587, 0.114)

# Wide to high of what cameras give, the usual one most often.
ASPECTS = (4 / 3, 4 / 3, 4 / 3, 4 / 3, 4 / 3, 4 / 3, 16 / 9, 3 / 2, 1.0, 3 / 4)
WHOLE_SHARE = 0.25
LEAST_SCALE = 0.55
TURNED_SHARE = 0.4
PASTED_SHARE = 0.3
LEAST_PX = 24
"""Less of an object, and nothing is asked about it."""

# Numbers of pasted objects follow those of a picture's own.
_NUMBERS = MOST_OBJECTS + 1


@dataclass
class Batch:
    """Pictures on the network's canvas, and objects in them."""

    pixel_values: torch.Tensor
    """f32 `[batch, 3, side, side]`, normalised; zero below and beside the picture."""
    masks: torch.Tensor
    """bool `[batch, objects, side, side]`."""
    valid: torch.Tensor
    """bool `[batch, objects]`: whether there is such an object."""
    content_px: torch.Tensor
    """f32 `[batch, 2]`: width and height of the picture on the canvas."""


def normalised(image: torch.Tensor) -> torch.Tensor:
    """`[…, 3, height, width]` in [0, 1] to what the network is given."""
    mean, std = (torch.tensor(values, device=image.device)[:, None, None] for values in (MEAN, STD))
    return (image - mean) / std


def on_canvas(pixels: torch.Tensor, side: int) -> torch.Tensor:
    """u8 `[n, height, width, 3]`, no larger than the canvas, as the processor lays it on: at the
    top left, with zeros after normalisation around it."""
    image = normalised(pixels.permute(0, 3, 1, 2).float() / 255)
    return F.pad(image, (0, side - image.shape[3], 0, side - image.shape[2]))


class Augmentation:
    """Draws batches. Random numbers come from one seed for each device."""

    def __init__(self, device: torch.device, seed: int, side: int, objects: int) -> None:
        self.device, self.side, self.objects = device, side, objects
        self.rng = np.random.default_rng(seed)
        self.noise = torch.Generator(device).manual_seed(seed)

    def batch(self, pictures: Pictures, size: int) -> Batch:
        chosen = torch.from_numpy(self.rng.integers(0, len(pictures), size)).to(self.device)
        image, instances, content = self._cut(pictures, chosen)
        inside = self._inside(content)
        image = self._recoloured(image)
        image, instances = self._pasted(image, instances * inside)
        image = normalised(image) * inside[:, None]
        masks, valid = self._objects(instances)
        return Batch(image, masks, valid, content)

    def _on_device(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.device)

    def _cut(self, pictures: Pictures, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Image `[n, 3, side, side]` in [0, 1], instances i64 `[n, side, side]`, and the size of
        what of that is picture."""
        rng, n, side = self.rng, len(chosen), self.side
        high, wide = pictures.pixels.shape[1:3]
        aspect = rng.choice(ASPECTS, n)
        content = np.stack([side * np.minimum(aspect, 1), side / np.maximum(aspect, 1)], axis=1).round()
        turned = rng.random(n) < TURNED_SHARE
        angle = np.where(turned, rng.normal(0, np.radians(9), n), 0)
        scale = np.where(rng.random(n) < WHOLE_SHARE, 1.0, rng.uniform(LEAST_SCALE, 1, n))
        scale *= np.where(turned, 0.85, 1)
        window_wide = np.minimum(wide, high * aspect) * scale
        window = np.stack([window_wide, window_wide / aspect], axis=1)
        middle = window / 2 + rng.random((n, 2)) * (np.array([wide, high]) - window)
        mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0)
        # Pixels of the picture that one pixel of the canvas goes, along its x and its y.
        step = window / content
        along_x = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (step[:, :1] * mirror[:, None])
        along_y = np.stack([-np.sin(angle), np.cos(angle)], axis=1) * step[:, 1:]
        first = middle - along_x * content[:, :1] / 2 - along_y * content[:, 1:] / 2
        to_unit = 2 / np.array([wide, high])
        along_x, along_y, first = (self._on_device(v * to_unit) for v in (along_x, along_y, first))
        at = torch.arange(side, device=self.device) + 0.5
        grid = first[:, None, None] - 1 + along_x[:, None, None] * at[:, None] + along_y[:, None, None] * at[:, None, None]
        pixels = pictures.pixels[chosen].permute(0, 3, 1, 2).float() / 255
        image = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
        numbers = pictures.instances[chosen][:, None].float()
        numbers = F.grid_sample(numbers, grid, mode="nearest", padding_mode="zeros", align_corners=False)
        return image, numbers[:, 0].round().long(), self._on_device(content)

    def _inside(self, content: torch.Tensor) -> torch.Tensor:
        """bool `[n, side, side]`: where the canvas shows the picture."""
        at = torch.arange(self.side, device=self.device)
        return (at < content[:, 1:])[:, :, None] & (at < content[:, :1])[:, None]

    def _pasted(self, image: torch.Tensor, instances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Some pictures with some objects of their neighbour in the batch on top."""
        n = len(image)
        kept = self.rng.random((n, _NUMBERS)) < 0.5
        kept &= self.rng.random((n, 1)) < PASTED_SHARE
        kept[:, 0] = False
        other = instances.roll(1, 0)
        on_top = torch.from_numpy(kept).to(self.device).gather(1, other.flatten(1)).view_as(other)
        image = torch.where(on_top[:, None], image.roll(1, 0), image)
        return image, torch.where(on_top, other + _NUMBERS, instances)

    def _recoloured(self, image: torch.Tensor) -> torch.Tensor:
        """Light, sensor, and colours that the simulator does not have: what a thing is called does
        not matter here, only where it ends."""
        rng, n = self.rng, len(image)
        matrix = np.repeat(np.eye(3)[None], n, axis=0)
        mixed = rng.random(n) < 0.4
        matrix[mixed] += rng.uniform(-0.2, 0.2, (n, 3, 3))[mixed]
        swapped = rng.random(n) < 0.15
        matrix[swapped] = np.stack([np.eye(3)[rng.permutation(3)] for _ in range(n)])[swapped]
        matrix[rng.random(n) < 0.12] = np.tile(LUMA, (3, 1))
        gain = rng.uniform(0.65, 1.35, (n, 1)) * rng.uniform(0.92, 1.08, (n, 3))
        contrast = rng.uniform(0.75, 1.25, (n, 1))
        matrix *= (gain * contrast)[:, :, None]
        offset = 0.45 * (1 - contrast)
        image = torch.einsum("nij,njhw->nihw", self._on_device(matrix), image) + self._on_device(offset)[:, :, None, None]
        blurred = self._on_device(rng.random((n, 1, 1, 1)) * (rng.random((n, 1, 1, 1)) < 0.2))
        image = torch.lerp(image, F.avg_pool2d(image, 3, 1, 1, count_include_pad=False), blurred)
        noise = torch.randn(image.shape, generator=self.noise, device=self.device)
        return (image + noise * self._on_device(rng.uniform(0, 0.035, (n, 1, 1, 1)))).clamp_(0, 1)

    def _objects(self, instances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks of as many objects of each picture as are asked for, at random."""
        n = len(instances)
        area = torch.zeros(n, 2 * _NUMBERS, device=self.device)
        area.scatter_add_(1, instances.flatten(1), torch.ones_like(instances, dtype=torch.float32).flatten(1))
        area[:, 0] = 0
        there = area >= LEAST_PX
        order = self._on_device(self.rng.random((n, 2 * _NUMBERS))) + there
        numbers = order.topk(self.objects, dim=1).indices
        valid = there.gather(1, numbers)
        masks = instances[:, None] == numbers[:, :, None, None]
        return masks & valid[:, :, None, None], valid


@dataclass
class Prompts:
    """What the network is asked for each object of a batch; in pixels of the canvas."""

    boxes: torch.Tensor | None
    """f32 `[batch, objects, 4]`: x0, y0, x1, y1; edges, so that x1 is one past the last pixel."""
    points: torch.Tensor | None
    """f32 `[batch, objects, points, 2]`: x, y of pixels."""
    labels: torch.Tensor | None
    """i64 `[batch, objects, points]`: 1 on the object, 0 beside it."""


def boxes_of(masks: torch.Tensor) -> torch.Tensor:
    """f32 `[…, 4]` of bool `[…, side, side]`; where there is nothing, the whole canvas."""
    edges = []
    for axis in (-2, -1):
        on = masks.any(axis).byte()
        edges.append((on.argmax(-1), on.shape[-1] - on.flip(-1).argmax(-1)))
    (x0, x1), (y0, y1) = edges
    return torch.stack([x0, y0, x1, y1], dim=-1).float()


def loosened(boxes: torch.Tensor, content_px: torch.Tensor, shares: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    """Boxes as a detector gives them: each edge off by a share of the box's size and a pixel.
    `shares` `[batch, objects]`: the standard deviation; 0 leaves a box as it is."""

    def draw(random) -> torch.Tensor:
        return random(boxes.shape, generator=noise, device=boxes.device)

    size = (boxes[..., 2:] - boxes[..., :2]).repeat(1, 1, 2)
    off = draw(torch.randn) * shares[..., None] * size + (2 * draw(torch.rand) - 1) * (shares[..., None] > 0)
    # Beyond this a box is another thing's.
    moved = boxes + off.clamp(-0.3 * size - 1, 0.3 * size + 1)
    least = torch.minimum(moved[..., :2], moved[..., 2:] - 1)
    moved = torch.cat([least, torch.maximum(moved[..., 2:], least + 1)], dim=-1)
    return torch.minimum(moved.clamp(min=0), content_px.repeat(1, 2)[:, None])


def random_pixels(allowed: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    """f32 `[…, 2]`: x, y of one random pixel of each bool `[…, side, side]`."""
    chance = torch.rand(allowed.shape, generator=noise, device=allowed.device).mul_(allowed)
    index = chance.flatten(-2).argmax(-1)
    side = allowed.shape[-1]
    return torch.stack([index % side, index // side], dim=-1).float()


def draw_prompts(batch: Batch, rng: np.random.Generator, noise: torch.Generator) -> Prompts:
    """Mostly boxes, as a detector's; at times points, on the object and beside it; at times both."""
    kind = rng.choice(["box", "points", "both"], p=[0.78, 0.14, 0.08])
    boxes = points = labels = None
    exact = boxes_of(batch.masks)
    if kind != "points":
        shares = rng.choice([0.0, 0.04, 0.1], batch.valid.shape, p=[0.25, 0.5, 0.25])
        shares = torch.from_numpy(shares.astype(np.float32)).to(exact.device)
        boxes = loosened(exact, batch.content_px, shares, noise)
    if kind != "box":
        points, labels = [], []
        for i in range(rng.integers(1, 4)):
            on = i == 0 or rng.random() < 0.5
            # A point beside the object is near it: elsewhere it says nothing.
            allowed = batch.masks if on else _near(exact, batch) & ~batch.masks
            points.append(random_pixels(allowed, noise))
            labels.append(torch.full(batch.valid.shape, int(on), device=exact.device))
        points, labels = torch.stack(points, dim=2), torch.stack(labels, dim=2)
    return Prompts(boxes, points, labels)


def _near(boxes: torch.Tensor, batch: Batch) -> torch.Tensor:
    """bool `[batch, objects, side, side]`: the boxes, a quarter wider on each side and at least
    four pixels, as far as there is picture."""
    margin = ((boxes[..., 2:] - boxes[..., :2]) / 4).clamp(min=4)
    low = (boxes[..., :2] - margin).clamp(min=0)
    high = torch.minimum(boxes[..., 2:] + margin, batch.content_px[:, None])
    at = torch.arange(batch.masks.shape[-1], device=boxes.device)
    x = (at >= low[..., :1]) & (at < high[..., :1])
    y = (at >= low[..., 1:]) & (at < high[..., 1:])
    return y[..., :, None] & x[..., None, :]
