"""Data sets of the simulated camera in a form that training reads fast, and their augmentation.

    python -m owlet_training.data DATASET…     makes the arrays, ahead of the training
"""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torch.nn.functional import grid_sample

from . import texts

# A little more than the network sees, so that a random cut from it stays sharp.
SIDE_PX = 320
CACHE = "training-arrays"
INSTANCE_SIDE_PX = 160
MOST_OBJECTS = 12

# With objects that were put in from other pictures.
MOST_OBJECTS_IN_BATCH = 20

# A cut keeps an object if this share of its box is inside.
LEAST_KEPT_SHARE = 0.45

# This share of the pictures is shown in grey, and nothing is asked about colours there: a kind
# must be known by its shape. Else the colours that a kind is never seen in would speak against it.
GREY_SHARE = 0.25
LUMA = torch.tensor([0.299, 0.587, 0.114])
UNKNOWN = -1

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])


def _prepare_image(job: tuple[Path, dict, list[dict]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    path, image, annotations = job
    pixels = Image.open(path).convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    instances = np.zeros((INSTANCE_SIDE_PX, INSTANCE_SIDE_PX), np.uint8)
    rows = np.full((MOST_OBJECTS, 9), -1, np.float32)
    ys = ((np.arange(INSTANCE_SIDE_PX) + 0.5) * image["height"] / INSTANCE_SIDE_PX).astype(int)
    xs = ((np.arange(INSTANCE_SIDE_PX) + 0.5) * image["width"] / INSTANCE_SIDE_PX).astype(int)
    for i, a in enumerate(annotations[:MOST_OBJECTS]):
        instances[coco_mask.decode(a["segmentation"])[np.ix_(ys, xs)] > 0] = i + 1
        x, y, w, h = a["bbox"]
        what = a["attributes"]
        rows[i] = [
            x / image["width"],
            y / image["height"],
            (x + w) / image["width"],
            (y + h) / image["height"],
            texts.KINDS.index(what["kind"]),
            texts.COLOURS.index(what["colour"]),
            texts.SIZES.index(what["size"]),
            texts.MATERIALS.index(what["material"]),
            a["iscrowd"],
        ]
    return np.asarray(pixels), instances, rows


def prepare(folder: Path) -> Path:
    """Makes the arrays of a COCO data set beside it, once; returns their folder."""
    cache = folder / CACHE
    if (cache / "objects.npy").exists():
        return cache
    cache.mkdir(exist_ok=True)
    content = json.loads((folder / "annotations.json").read_text())
    by_image: dict[int, list[dict]] = {}
    for annotation in content["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    images = content["images"]
    jobs = [(folder / image["file_name"], image, by_image.get(image["id"], [])) for image in images]
    n = len(images)
    pixels = np.lib.format.open_memmap(cache / "pixels.npy", "w+", np.uint8, (n, SIDE_PX, SIDE_PX, 3))
    instances = np.lib.format.open_memmap(
        cache / "instances.npy", "w+", np.uint8, (n, INSTANCE_SIDE_PX, INSTANCE_SIDE_PX)
    )
    objects = np.empty((n, MOST_OBJECTS, 9), np.float32)
    with ProcessPoolExecutor() as pool:
        for i, done in enumerate(pool.map(_prepare_image, jobs, chunksize=32)):
            pixels[i], instances[i], objects[i] = done
    pixels.flush()
    instances.flush()
    # Last, and at once: it says that the others are whole.
    np.save(cache / "partial.npy", objects)
    (cache / "partial.npy").rename(cache / "objects.npy")
    return cache


@dataclass
class Batch:
    """What a step learns from."""

    pixel_values: torch.Tensor
    """f32 `[batch, 3, side, side]`, normalised."""
    instances: torch.Tensor
    """i64 `[batch, grid, grid]`: number of the object at each patch's centre, 0 for none."""
    boxes: torch.Tensor
    """f32 `[batch, MOST_OBJECTS_IN_BATCH, 4]`: x0, y0, x1, y1 in [0, 1]; of objects that are not there, 0."""
    attributes: np.ndarray
    """int `[batch, MOST_OBJECTS_IN_BATCH, 4]`: kind, colour (may be `UNKNOWN`), size, material."""
    valid: torch.Tensor
    """bool `[batch, MOST_OBJECTS_IN_BATCH]`: to be found."""
    ignored: torch.Tensor
    """bool `[batch, MOST_OBJECTS_IN_BATCH]`: there, but too little of it to be found."""

    def to(self, device: torch.device) -> "Batch":
        """The same with its tensors on a device."""
        tensors = (self.pixel_values, self.instances, self.boxes, self.valid, self.ignored)
        pixel_values, instances, boxes, valid, ignored = (t.to(device, non_blocking=True) for t in tensors)
        return Batch(pixel_values, instances, boxes, self.attributes, valid, ignored)


class Data:
    """All pictures of several data sets, cut and coloured at random."""

    def __init__(self, folders: list[Path], side_px: int, grid: int, wait: bool = False) -> None:
        """With `wait` another process prepares the data sets, and those are taken that are there."""
        self.missing, self.wait = list(folders), wait
        self.pixels: list[np.ndarray] = []
        self.instances: list[np.ndarray] = []
        self.objects: list[np.ndarray] = []
        self.where: list[tuple[int, int]] = []
        self.side_px, self.grid = side_px, grid
        while not self.look():
            time.sleep(0.2)

    def look(self) -> int:
        """Takes in the data sets that are there by now; returns how many pictures there are."""
        for folder in list(self.missing):
            if self.wait and not (folder / CACHE / "objects.npy").exists():
                continue
            cache = prepare(folder)
            self.pixels.append(np.load(cache / "pixels.npy", mmap_mode="r"))
            self.instances.append(np.load(cache / "instances.npy", mmap_mode="r"))
            self.objects.append(np.load(cache / "objects.npy"))
            self.where += [(len(self.objects) - 1, i) for i in range(len(self.objects[-1]))]
            self.missing.remove(folder)
        return len(self.where)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` random pictures."""
        chosen = [self.where[i] for i in rng.integers(0, len(self.where), size)]
        drawn = [self._crowded(rng, *where) for where in chosen]
        pixels, instances, objects = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
        pixels, instances = torch.from_numpy(pixels), torch.from_numpy(instances)

        # The window of each picture that is kept, and whether it is mirrored.
        wide = rng.uniform(0.62, 1.0, size)
        high = np.clip(wide * np.exp(rng.uniform(-0.22, 0.22, size)), 0.6, 1.0)
        whole = rng.random(size) < 0.25
        wide, high = np.where(whole, 1.0, wide), np.where(whole, 1.0, high)
        x0, y0 = rng.uniform(0, 1 - wide), rng.uniform(0, 1 - high)
        mirror = rng.random(size) < 0.5

        def sampled(source: torch.Tensor, side: int, mode: str) -> torch.Tensor:
            steps = (np.arange(side) + 0.5) / side
            across = np.where(mirror[:, None], steps[::-1], steps)
            x = (x0[:, None] + wide[:, None] * across) * 2 - 1
            y = (y0[:, None] + high[:, None] * steps) * 2 - 1
            at = np.stack(np.broadcast_arrays(x[:, None, :], y[:, :, None]), axis=-1)
            at = torch.from_numpy(at.astype(np.float32))
            return grid_sample(source, at, mode=mode, align_corners=False, padding_mode="border")

        image = sampled(pixels.permute(0, 3, 1, 2).float() / 255, self.side_px, "bilinear")
        at_patches = sampled(instances[:, None].float(), self.grid, "nearest")[:, 0].long()
        grey = rng.random(size) < GREY_SHARE
        image = self._recoloured(image, rng)
        image[grey] = (image[grey] * LUMA[:, None, None]).sum(1, keepdim=True)
        image = (image - MEAN[:, None, None]) / STD[:, None, None]

        boxes = objects[..., :4].copy()
        boxes[..., [0, 2]] = (boxes[..., [0, 2]] - x0[:, None, None]) / wide[:, None, None]
        boxes[..., [1, 3]] = (boxes[..., [1, 3]] - y0[:, None, None]) / high[:, None, None]
        boxes[mirror] = boxes[mirror][..., [2, 1, 0, 3]] * [-1, 1, -1, 1] + [1, 0, 1, 0]
        area = np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
        boxes = boxes.clip(0, 1)
        kept = np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) / np.maximum(area, 1e-9)
        present = objects[..., 4] >= 0
        valid = present & (objects[..., 8] == 0) & (kept >= LEAST_KEPT_SHARE)
        boxes[~valid] = 0
        attributes = objects[..., 4:8].astype(int)
        attributes[grey, :, 1] = UNKNOWN
        return Batch(
            image,
            at_patches,
            torch.from_numpy(boxes.astype(np.float32)),
            attributes,
            torch.from_numpy(valid),
            torch.from_numpy(present & ~valid),
        )

    def _crowded(self, rng: np.random.Generator, d: int, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A picture with objects of two others where there was only table: twice as much to learn
        from for the price of one."""
        pixels, instances = self.pixels[d][i].copy(), self.instances[d][i].copy()
        objects = np.full((MOST_OBJECTS_IN_BATCH, 9), -1, np.float32)
        objects[:MOST_OBJECTS] = self.objects[d][i]
        count = int((objects[:, 4] >= 0).sum())
        scale = SIDE_PX // INSTANCE_SIDE_PX
        for _ in range(2):
            d, i = self.where[rng.integers(len(self.where))]
            other_pixels, other_instances = self.pixels[d][i], self.instances[d][i]
            for number, row in enumerate(self.objects[d][i], 1):
                if row[4] < 0 or row[8] > 0 or count == MOST_OBJECTS_IN_BATCH:
                    continue
                x0, y0 = (row[:2] * INSTANCE_SIDE_PX).astype(int)
                x1, y1 = np.ceil(row[2:4] * INSTANCE_SIDE_PX).astype(int)
                mask = other_instances[y0:y1, x0:x1] == number
                for _ in range(4):
                    to_x, to_y = rng.integers(0, INSTANCE_SIDE_PX - (x1 - x0) + 1), rng.integers(0, INSTANCE_SIDE_PX - (y1 - y0) + 1)
                    window = (slice(to_y, to_y + y1 - y0), slice(to_x, to_x + x1 - x0))
                    if not instances[window].any():
                        break
                else:
                    continue
                instances[window][mask] = count + 1
                source = other_pixels[y0 * scale : y1 * scale, x0 * scale : x1 * scale]
                target = pixels[to_y * scale : (to_y + y1 - y0) * scale, to_x * scale : (to_x + x1 - x0) * scale]
                fine = mask.repeat(scale, 0).repeat(scale, 1)
                target[fine] = source[fine]
                row = row.copy()
                row[:4] += np.array([to_x - x0, to_y - y0] * 2) / INSTANCE_SIDE_PX
                objects[count] = row
                count += 1
        return pixels, instances, objects

    @staticmethod
    def _recoloured(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Light and sensor: brightness, contrast, a slight tint, noise. Never so much that a
        colour would lose its name."""
        n = len(image)

        def draw(low: float, high: float, channels: int = 1) -> torch.Tensor:
            return torch.from_numpy(rng.uniform(low, high, (n, channels, 1, 1)).astype(np.float32))

        brightness = draw(0.8, 1.2) * draw(0.94, 1.06, 3)
        contrast = draw(0.85, 1.15)
        image = (brightness * contrast) * image + 0.45 * (1 - contrast)
        noise = torch.empty_like(image).normal_(generator=torch.Generator().manual_seed(int(rng.integers(2**62))))
        return noise.mul_(draw(0, 0.025)).add_(image).clamp_(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path, nargs="+")
    for folder in parser.parse_args().datasets:
        prepare(folder)


if __name__ == "__main__":
    main()
