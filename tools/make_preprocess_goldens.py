#!/usr/bin/env python3
"""Makes tests/fixtures/preprocess.safetensors: what the reference's processors make of images at the
full size of the released checkpoints, sampled, since all of it would be many megabytes.

    pip install -r tools/requirements.txt torchvision==0.26.0 scipy
    python tools/make_preprocess_goldens.py --coco-png FOLDER/coco_39769/000000039769.png

The images are a formula that the test repeats, and one photograph that the test finds in its test
data. The variant that is held is the torchvision one.

    python tools/make_preprocess_goldens.py --compare IMAGE...

writes nothing and prints how far the Pillow variant of each processor is from the torchvision one,
in levels of 8 bits, and the time that both take on one thread.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torchvision
import transformers
from PIL import Image
from safetensors.numpy import save_file
from transformers import (
    BitImageProcessor,
    BitImageProcessorPil,
    Owlv2ImageProcessor,
    Owlv2ImageProcessorPil,
    OwlViTImageProcessor,
    OwlViTImageProcessorPil,
)

TARGET = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "preprocess.safetensors"

# Configurations as they stand in preprocessor_config.json.
RECIPES = {
    "bit": {
        "crop_size": {"height": 224, "width": 224},
        "image_processor_type": "BitImageProcessor",
        "resample": 3,
        "size": {"shortest_edge": 256},
    },
    # A canvas that small pictures do not fill, and of no square.
    "bit_padded": {
        "crop_size": {"height": 151, "width": 90},
        "image_processor_type": "BitImageProcessor",
        "resample": 2,
        "size": {"shortest_edge": 120},
    },
    "owlvit": {"image_processor_type": "OwlViTImageProcessor", "resample": 3, "size": 768},
    "owlvit_bilinear": {
        "image_processor_type": "OwlViTImageProcessor",
        "resample": 2,
        "size": {"height": 480, "width": 800},
    },
    "owlvit_plain": {
        "do_normalize": False,
        "image_processor_type": "OwlViTImageProcessor",
        "resample": 3,
        "size": 64,
    },
    "owlv2": {"image_processor_type": "Owlv2ImageProcessor", "resample": 2, "size": 960},
    "owlv2_other_statistics": {
        "image_mean": [0.5, 0.25, 0.75],
        "image_processor_type": "Owlv2ImageProcessor",
        "image_std": [0.5, 1.0, 0.25],
        "resample": 2,
        "size": 224,
    },
}

# Width and height: smaller and larger than the canvas, equal to it, one pixel, thin strips.
SIZES = [
    (640, 480),
    (480, 640),
    (1920, 1080),
    (768, 768),
    (960, 960),
    (961, 959),
    (2500, 1700),
    (1, 1),
    (1, 37),
    (37, 1),
    (3000, 40),
]

PROCESSORS = {
    "BitImageProcessor": (BitImageProcessor, BitImageProcessorPil),
    "OwlViTImageProcessor": (OwlViTImageProcessor, OwlViTImageProcessorPil),
    "Owlv2ImageProcessor": (Owlv2ImageProcessor, Owlv2ImageProcessorPil),
}


def formula(width, height):
    """Stripes, chirps and steps; integers only, so that every language gets the same bytes."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    channels = [((x * (7 + c) + y * (13 - c)) ^ ((x * y) >> 4)) + 40 * c for c in range(3)]
    return Image.fromarray((np.stack(channels, -1) & 255).astype(np.uint8), "RGB")


def samples(planes):
    """Values all over the canvas, and of its top, bottom and right edges."""
    parts = [planes.ravel()[::2003], planes[1, 0, ::17], planes[2, -1, ::17], planes[0, ::17, -1]]
    return np.concatenate(parts).astype(np.float32)


def processor(recipe, variant):
    settings = {key: value for key, value in recipe.items() if key != "image_processor_type"}
    return PROCESSORS[recipe["image_processor_type"]][variant](**settings)


def make(coco_png):
    images = {f"{width}x{height}": formula(width, height) for width, height in SIZES}
    images["coco_39769"] = Image.open(coco_png).convert("RGB")
    tensors = {}
    for name, recipe in RECIPES.items():
        process = processor(recipe, 0)
        for image_name, image in images.items():
            planes = process(image, return_tensors="pt").pixel_values[0].float().numpy()
            tensors[f"{name}.{image_name}"] = samples(planes)
    facts = {
        "recipes": RECIPES,
        "transformers": transformers.__version__,
        "torchvision": torchvision.__version__.split("+")[0],
    }
    # One string, since safetensors does not keep the order of several.
    save_file(tensors, TARGET, {"facts": json.dumps(facts)})
    print(f"{TARGET}: {len(tensors)} tensors, {TARGET.stat().st_size} bytes")


def best_time(process, image):
    times = []
    for _ in range(5):
        start = time.perf_counter()
        planes = process(image, return_tensors="pt").pixel_values[0]
        times.append(time.perf_counter() - start)
    return planes.numpy(), 1e3 * min(times)


def compare(paths):
    images = {path.name: Image.open(path).convert("RGB") for path in paths}
    images["formula 1920x1080"] = formula(1920, 1080)
    for name in ["owlvit", "owlv2"]:
        std = np.array(processor(RECIPES[name], 0).image_std)[:, None, None]
        for image_name, image in images.items():
            vision, vision_ms = best_time(processor(RECIPES[name], 0), image)
            pillow, pillow_ms = best_time(processor(RECIPES[name], 1), image)
            levels = np.abs(vision - pillow) * std * 255
            print(
                f"{name} {image_name} {image.width}x{image.height}: max {levels.max():.3f}, "
                f"mean {levels.mean():.5f}, without the outermost lines "
                f"{levels[:, 2:-2, 2:-2].max():.3f}; torchvision {vision_ms:.1f} ms, "
                f"Pillow {pillow_ms:.1f} ms"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--coco-png", type=Path, help="the photograph that the test looks for")
    parser.add_argument("--compare", type=Path, nargs="*", metavar="IMAGE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.compare is not None:
        compare(arguments.compare)
    elif arguments.coco_png is not None:
        make(arguments.coco_png)
    else:
        parser.error("give --coco-png or --compare")


if __name__ == "__main__":
    main()
