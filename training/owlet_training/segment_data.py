"""Data sets of the simulated camera as the segmenter reads them: pictures and instance masks, all
in the memory of the device that trains.

    python -m owlet_training.segment_data DATASET…     makes the arrays, ahead of the training
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask

CACHE = "segmenter-arrays"
MOST_OBJECTS = 15

# Columns of a row of objects: x0, y0, x1, y1 in pixels of the picture; whether it is hardly visible.
BOX, HARDLY_VISIBLE = slice(0, 4), 4
ABSENT = -1


def _prepare_image(job: tuple[Path, dict, list[dict]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    path, image, annotations = job
    pixels = np.asarray(Image.open(path).convert("RGB"))
    instances = np.zeros((image["height"], image["width"]), np.uint8)
    objects = np.full((MOST_OBJECTS, 5), ABSENT, np.float32)
    for i, annotation in enumerate(annotations[:MOST_OBJECTS]):
        instances[coco_mask.decode(annotation["segmentation"]) > 0] = i + 1
        x, y, w, h = annotation["bbox"]
        objects[i] = [x, y, x + w, y + h, annotation["iscrowd"]]
    return pixels, instances, objects


def prepare(folder: Path) -> Path:
    """Makes the arrays of a COCO data set beside it, once; returns their folder. Its pictures are
    all of one size, as the simulator makes them."""
    cache = folder / CACHE
    if is_prepared(folder):
        return cache
    cache.mkdir(exist_ok=True)
    content = json.loads((folder / "annotations.json").read_text())
    by_image: dict[int, list[dict]] = {}
    for annotation in content["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    images = content["images"]
    jobs = [(folder / image["file_name"], image, by_image.get(image["id"], [])) for image in images]
    size = (len(images), images[0]["height"], images[0]["width"])
    pixels = np.lib.format.open_memmap(cache / "pixels.npy", "w+", np.uint8, (*size, 3))
    instances = np.lib.format.open_memmap(cache / "instances.npy", "w+", np.uint8, size)
    objects = np.empty((len(images), MOST_OBJECTS, 5), np.float32)
    with ProcessPoolExecutor() as pool:
        for i, done in enumerate(pool.map(_prepare_image, jobs, chunksize=32)):
            pixels[i], instances[i], objects[i] = done
    pixels.flush()
    instances.flush()
    # Last, and at once: it says that the others are whole.
    np.save(cache / "partial.npy", objects)
    (cache / "partial.npy").rename(cache / "objects.npy")
    return cache


def is_prepared(folder: Path) -> bool:
    """Whether `prepare` is done with a data set."""
    return (folder / CACHE / "objects.npy").exists()


@dataclass
class Pictures:
    """Pictures of one size, with the instances in them."""

    pixels: torch.Tensor
    """u8 `[n, height, width, 3]`."""
    instances: torch.Tensor
    """u8 `[n, height, width]`: 1 for the first object of a picture, 0 for none."""
    objects: torch.Tensor
    """f32 `[n, MOST_OBJECTS, 5]`: see `BOX` and `HARDLY_VISIBLE`; `ABSENT` where there is none."""

    def __len__(self) -> int:
        return len(self.pixels)

    @classmethod
    def load(cls, folder: Path, device: torch.device, most: int | None = None) -> "Pictures":
        """All pictures of a data set, or the first `most`."""
        cache = prepare(folder)
        names = ("pixels.npy", "instances.npy", "objects.npy")
        arrays = [np.array(np.load(cache / name, mmap_mode="r")[:most]) for name in names]
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    def joined(self, other: "Pictures") -> "Pictures":
        """Both, one after the other."""
        return Pictures(
            torch.cat([self.pixels, other.pixels]),
            torch.cat([self.instances, other.instances]),
            torch.cat([self.objects, other.objects]),
        )


class GrowingPictures:
    """Pictures of several data sets, of which some may still be on their way: what another process
    has prepared meanwhile is taken in whenever it is looked for."""

    def __init__(self, folders: list[Path], device: torch.device, wait: bool) -> None:
        self.missing, self.device, self.wait = list(folders), device, wait
        self.pictures: Pictures | None = None

    def look(self) -> int:
        """Takes in what is there; returns how many pictures there are. Without `wait` it prepares
        what is not, and all are there after the first look."""
        for folder in list(self.missing):
            if self.wait and not is_prepared(folder):
                continue
            new = Pictures.load(folder, self.device)
            self.pictures = self.pictures.joined(new) if self.pictures else new
            self.missing.remove(folder)
        return len(self.pictures) if self.pictures else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path, nargs="+")
    for folder in parser.parse_args().datasets:
        prepare(folder)


if __name__ == "__main__":
    main()
