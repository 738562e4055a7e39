#!/usr/bin/env python3
"""What `transformers` computes when a picture and not a text says what is looked for.

    pip install -r tools/requirements.txt
    python tools/make_image_guided_goldens.py

Reads the checkpoints and pictures that `make_goldens.py` made, and writes into
tests/fixtures/owl*_tiny/goldens, twice run the same bytes:

image_guided.safetensors    for each pair of pictures the patch that became the query, its box, and
                            the logits of all patches of the other picture
exemplars.safetensors       the same for boxes in the pictures, and what
                            `post_process_image_guided_detection` makes of it

The reference knows no boxes: OWL-ViT compares with [0, 0, 1, 1], the whole picture, and OWLv2 with
nothing. For OWL-ViT its own lines run here with a box in the place of that one; for OWLv2 the lines
that choose patches by a box are OWL-ViT's, and of those patches the one with the highest objectness
is the query.
"""

import json
from contextlib import contextmanager
from unittest import mock

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
from transformers.models.owlvit.modeling_owlvit import box_iou, center_to_corners_format

KINDS = {
    "owlvit_tiny": (OwlViTForObjectDetection, OwlViTImageProcessor),
    "owlv2_tiny": (Owlv2ForObjectDetection, Owlv2ImageProcessor),
}

# Corners as shares of the picture: the things that are drawn in them, parts, and all of it.
BOXES = {
    "rectangle": (1 / 8, 1 / 8, 1 / 3, 1 / 2),
    "ellipse": (1 / 2, 1 / 4, 0.97, 0.97),
    "left": (0.0, 0.1, 0.55, 0.9),
    "middle": (0.3, 0.2, 0.8, 0.75),
    "whole": (0.0, 0.0, 1.0, 1.0),
}

# How far boxes that the model predicts are moved, as a share of their width, to be shown as well: the
# boxes of a random model are where nothing is drawn.
MOVED = 0.2

# The default of `post_process_image_guided_detection`.
NMS_IOU = 0.3


@contextmanager
def shown_box(box):
    """Puts `box` (corners, shares of the canvas) where `embed_image_query` makes its own."""
    make, made = torch.tensor, []

    def tensor(values, **how):
        assert values == [[0, 0, 1, 1]], values
        made.append(values)
        return make([box], **how)

    with mock.patch.object(torch, "tensor", tensor):
        yield
    assert len(made) == 1, "the reference makes its box elsewhere"


def query_of(model, features, feature_map, box):
    """As `embed_image_query` of OWL-ViT, with `box` in place of the whole picture."""
    with shown_box(box):
        found = OwlViTForObjectDetection.embed_image_query(model, features, feature_map)
    embeds, patches, boxes = found
    overlaps, _ = box_iou(torch.tensor([box]), center_to_corners_format(boxes)[0])
    near = (overlaps[0] >= 0.8 * overlaps.max()).nonzero().squeeze(1)
    if not isinstance(model, OwlViTForObjectDetection):
        objectness = model.objectness_predictor(features)[0, near]
        patches = near[objectness.argmax()].view(1, 1)
        _, class_embeds = model.class_predictor(features)
        embeds = class_embeds[:, patches[0]]
    return embeds, patches, boxes, overlaps.max(), len(near)


def clipped(boxes, width, height):
    """Centres and sizes, clipped to the part of the canvas that has the picture."""
    corners = center_to_corners_format(boxes).clamp(min=0)
    corners = torch.minimum(corners, torch.tensor([width, height, width, height]))
    x0, y0, x1, y1 = corners.unbind(-1)
    return torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], dim=-1)


def whole_pictures(model, pixels):
    names = list(PICTURES)
    tensors = {}
    for shown, looked_at in zip(names, names[1:] + names[:1]):
        output = model.image_guided_detection(
            pixel_values=pixels[looked_at], query_pixel_values=pixels[shown]
        )
        features = output.query_image_embeds.flatten(1, 2)
        _, index, boxes = model.embed_image_query(features, output.query_image_embeds)
        key = f"{shown}.{looked_at}"
        tensors[f"{key}.patch"] = index.flatten().to(torch.int64)
        tensors[f"{key}.query_box"] = boxes[0, index.flatten()].flatten()
        tensors[f"{key}.logits"] = output.logits.flatten().contiguous()
    return tensors


def canvas_px(model, name):
    """What the sides of the canvas are worth in pixels of a picture: OWLv2 pads to a square."""
    width, height = PICTURES[name]
    is_v2 = isinstance(model, Owlv2ForObjectDetection)
    return torch.tensor([max(width, height)] * 4 if is_v2 else [width, height] * 2).float()


def boxes_px(model, pixels, name):
    """Corners of the boxes that are shown in a picture, in its pixels."""
    size = torch.tensor([*PICTURES[name]] * 2).float()
    boxes = {label: torch.tensor(shares) * size for label, shares in BOXES.items()}
    feature_map, _ = model.image_embedder(pixel_values=pixels)
    predicted = model.box_predictor(feature_map.flatten(1, 2), feature_map)[0]
    corners = center_to_corners_format(predicted) * canvas_px(model, name)
    corners[:, 0::2] += MOVED * (corners[:, 2:3] - corners[:, 0:1])
    inside = ((corners >= 0) & (corners <= size)).all(-1)
    large = (corners[:, 2:] - corners[:, :2] >= 2).all(-1)
    inside = corners[inside & large]
    for quarter in range(4):
        if len(inside) > quarter:
            boxes[f"predicted{quarter}"] = inside[quarter * len(inside) // 4]
    return boxes


def boxed_pictures(model, processor, pixels):
    names = list(PICTURES)
    tensors = {}
    for shown, looked_at in zip(names, names[1:] + names[:1]):
        for box_name, box_px in boxes_px(model, pixels[shown], shown).items():
            is_v2 = isinstance(model, Owlv2ForObjectDetection)
            box = (box_px / canvas_px(model, shown)).tolist()
            chosen = []

            def embed(features, feature_map, *_):
                *found, overlap, near = query_of(model, features, feature_map, box)
                chosen.append((found[1], overlap, near))
                return found

            with mock.patch.object(model, "embed_image_query", embed):
                output = model.image_guided_detection(
                    pixel_values=pixels[looked_at], query_pixel_values=pixels[shown]
                )
            [(patch, overlap, near)] = chosen
            key = f"{shown}.{box_name}"
            tensors[f"{key}.box_px"] = box_px
            tensors[f"{key}.patch"] = patch.flatten().to(torch.int64)
            tensors[f"{key}.overlap"] = overlap.view(1)
            tensors[f"{key}.near"] = torch.tensor([near])
            tensors[f"{key}.logits"] = output.logits.flatten()
            width, height = PICTURES[looked_at]
            sizes = torch.tensor([[height, width]])
            [plain] = processor.post_process_image_guided_detection(
                output, threshold=0.0, nms_threshold=1.0, target_sizes=sizes
            )
            # Suppression is of what overlaps inside of the picture.
            side = max(width, height)
            part = (width / side, height / side) if is_v2 else (1.0, 1.0)
            output.target_pred_boxes = clipped(output.target_pred_boxes, *part)
            [apart] = processor.post_process_image_guided_detection(
                output, threshold=0.0, nms_threshold=NMS_IOU, target_sizes=sizes
            )
            for name, found in {"plain": plain, "apart": apart}.items():
                order = found["scores"].argsort(descending=True, stable=True)
                tensors[f"{key}.{name}.scores"] = found["scores"][order]
                tensors[f"{key}.{name}.boxes"] = found["boxes"][order]
    return tensors


def main():
    # One thread: sums are taken in one order, whatever the machine.
    torch.set_num_threads(1)
    facts = {"facts": json.dumps({"transformers": transformers.__version__})}
    for folder, (model_class, processor_class) in KINDS.items():
        model = model_class.from_pretrained(ROOT / folder, dtype=torch.float32).eval()
        processor = processor_class.from_pretrained(ROOT / folder)
        pixels = {}
        for name in PICTURES:
            image = Image.open(ROOT / "owl_images" / f"{name}.png").convert("RGB")
            pixels[name] = processor(image, return_tensors="pt").pixel_values.float()
        with torch.no_grad():
            files = {
                "image_guided": whole_pictures(model, pixels),
                "exemplars": boxed_pictures(model, processor, pixels),
            }
        for name, tensors in files.items():
            path = ROOT / folder / "goldens" / f"{name}.safetensors"
            tensors = {key: tensor.clone().contiguous() for key, tensor in tensors.items()}
            save_file(tensors, path, metadata=facts)
            print(folder, path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
