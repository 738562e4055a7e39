#!/usr/bin/env python3
"""What `transformers` computes when a picture and not a text says what is looked for.

    pip install -r tools/requirements.txt
    python tools/make_image_guided_goldens.py

Reads the checkpoints and pictures that `make_goldens.py` made, and writes
tests/fixtures/owl*_tiny/goldens/image_guided.safetensors: for each pair of pictures the patch that
became the query, its box, and the logits of all patches of the other picture. Run twice, it writes
the same bytes.
"""

import json

import torch
import transformers
from make_goldens import PICTURES, ROOT
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    OwlViTForObjectDetection,
    OwlViTImageProcessor,
)

KINDS = {
    "owlvit_tiny": (OwlViTForObjectDetection, OwlViTImageProcessor),
    "owlv2_tiny": (Owlv2ForObjectDetection, Owlv2ImageProcessor),
}


def main():
    names = list(PICTURES)
    for folder, (model_class, processor_class) in KINDS.items():
        model = model_class.from_pretrained(ROOT / folder, dtype=torch.float32).eval()
        processor = processor_class.from_pretrained(ROOT / folder)
        pixels = {}
        for name in names:
            image = Image.open(ROOT / "owl_images" / f"{name}.png").convert("RGB")
            pixels[name] = processor(image, return_tensors="pt").pixel_values.float()
        tensors = {}
        for shown, looked_at in zip(names, names[1:] + names[:1]):
            with torch.no_grad():
                output = model.image_guided_detection(
                    pixel_values=pixels[looked_at], query_pixel_values=pixels[shown]
                )
                features = output.query_image_embeds.flatten(1, 2)
                _, index, boxes = model.embed_image_query(features, output.query_image_embeds)
            key = f"{shown}.{looked_at}"
            tensors[f"{key}.patch"] = index.flatten().to(torch.int64)
            tensors[f"{key}.query_box"] = boxes[0, index.flatten()].flatten()
            tensors[f"{key}.logits"] = output.logits.flatten().contiguous()
        path = ROOT / folder / "goldens" / "image_guided.safetensors"
        facts = {"transformers": transformers.__version__}
        save_file(tensors, path, metadata={"facts": json.dumps(facts)})
        print(path.name, folder, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
