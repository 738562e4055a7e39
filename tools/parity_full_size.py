#!/usr/bin/env python3
"""Compares Owlet with `transformers` at full size, tensor by tensor, and prints a Markdown table.

The released checkpoints cannot be part of a test suite, so their configurations are run with
random weights: Owlet writes a checkpoint and both sides load the same file. Compared are the pixel
values that each makes of a picture; every tensor of the network, on the reference's pixels; and
the detections of each as a whole, from the picture on. Segmenters have tables of their own: by
text, pixel values, embeddings, and the logits of four texts; by boxes, embeddings and masks.

    pip install -r tools/requirements.txt
    python tools/parity_full_size.py IMAGE… [--model NAME]… [--scratch FOLDER]

Needs about 6 GB of memory and 2 GB of disk for one model at a time. Run by hand; the table in the
README says when it was last run.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPImageProcessor,
    CLIPSegForImageSegmentation,
    CLIPTokenizer,
    GroupViTModel,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    OwlViTForObjectDetection,
    OwlViTImageProcessor,
    SamImageProcessor,
    SamModel,
    SamProcessor,
    ViTImageProcessor,
)

ROOT = Path(__file__).resolve().parent.parent
MODELS = [
    "owlvit-base-patch32",
    "owlvit-base-patch16",
    "owlvit-large-patch14",
    "owlv2-base-patch16-ensemble",
]
SEGMENTERS = ["clipseg-rd64-refined", "groupvit-gcc-yfcc"]
BOX_SEGMENTERS = ["sam-vit-base"]
# Shares of width and height.
BOXES = [[0.1, 0.1, 0.45, 0.6], [0.5, 0.3, 0.95, 0.95], [0.3, 0.0, 0.6, 0.4], [0.0, 0.0, 1.0, 1.0]]
TEXTS = ["a cat", "a remote control", "a photo of a pink couch", "the left eye of a black cat"]
THRESHOLD = 0.1


def owlet(target, *arguments):
    """Runs the command line (`--bin owlet`) or an example; gives its last line on stderr."""
    command = ["cargo", "run", "--quiet", *target, "--", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"owlet failed:\n{done.stderr}")
    return (done.stderr.strip().splitlines() or [""])[-1]


def reference(folder, is_v2, pixels):
    """What `transformers` gives, and how long the forward pass took."""
    model_class = Owlv2ForObjectDetection if is_v2 else OwlViTForObjectDetection
    model, info = model_class.from_pretrained(folder, output_loading_info=True)
    odd = {key: value for key, value in info.items() if value}
    if odd:
        sys.exit(f"transformers does not take the checkpoint as it is: {odd}")
    model.eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    tokens = tokenizer(TEXTS, padding="max_length", return_tensors="pt")
    results = []
    with torch.inference_mode():
        for pixel_values in pixels:
            start = time.perf_counter()
            outputs = model(**tokens, pixel_values=pixel_values)
            seconds = time.perf_counter() - start
            base = model.owlv2 if is_v2 else model.owlvit
            pooled = outputs.vision_model_output.pooler_output
            clip = base.visual_projection(pooled)
            results.append(
                (
                    {
                        "input_ids": tokens.input_ids,
                        "text_embeds": outputs.text_embeds[0],
                        "clip_image_embeds": clip / clip.norm(dim=-1, keepdim=True),
                        "image_embeds": outputs.image_embeds,
                        "logits": outputs.logits,
                        "pred_boxes": outputs.pred_boxes,
                        **({"objectness_logits": outputs.objectness_logits} if is_v2 else {}),
                    },
                    seconds,
                )
            )
    return results


class Outputs(dict):
    __getattr__ = dict.__getitem__


def reference_detections(processor, tensors, image):
    """What `transformers` finds, clipped to the image, without boxes that lie outside of it."""
    size = [(image.height, image.width)]
    found = processor.post_process_object_detection(Outputs(tensors), THRESHOLD, size)[0]
    boxes = found["boxes"]
    boxes[:, 0::2] = boxes[:, 0::2].clamp(0, image.width)
    boxes[:, 1::2] = boxes[:, 1::2].clamp(0, image.height)
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return {key: found[key][inside] for key in ["boxes", "scores", "labels"]}


def compare_detections(ours, theirs):
    """Pairs each detection with the nearest of its text. Gives how many the reference has, how
    many of either side have no partner, and the largest differences in pixels and score."""
    boxes, scores = ours["detections.boxes"], ours["detections.scores"]
    apart = (boxes[:, None] - theirs["boxes"][None]).abs().amax(-1)
    apart[ours["detections.labels"][:, None] != theirs["labels"][None]] = float("inf")
    score_apart = (scores[:, None] - theirs["scores"][None]).abs()
    # Half a pixel and a thousandth of score is what the test suite allows.
    partner = (apart <= 0.5) & (score_apart <= 1e-3)
    nearest = apart.masked_fill(~partner, float("inf"))
    alone = int((~partner.any(1)).sum() + (~partner.any(0)).sum())
    if not partner.any():
        return len(theirs["scores"]), alone, 0.0, 0.0
    best = nearest.amin(1)
    score = score_apart.gather(1, nearest.argmin(1, keepdim=True))[:, 0][best.isfinite()]
    return len(theirs["scores"]), alone, float(best[best.isfinite()].max()), float(score.max())


def spread(tensors):
    """How far the reference's own values are apart: a difference means something beside it."""
    logits, boxes = tensors["logits"], tensors["pred_boxes"]
    best = logits.amax(-1)
    labels = torch.bincount(logits[0].argmax(-1), minlength=len(TEXTS)).tolist()
    return (
        f"logits {logits.mean():.2f} ± {logits.std():.2f}, best {best.max():.2f}, best texts"
        f" {labels}, box sides {boxes[..., 2:].mean():.3f} ± {boxes[..., 2:].std():.3f}"
    )


def compare(name, images, scratch):
    is_v2 = name.startswith("owlv2")
    folder = scratch / name
    owlet(["--bin", "owlet"], "random-model", name, "--out", folder, "--seed", 1)
    processor_class = Owlv2ImageProcessor if is_v2 else OwlViTImageProcessor
    processor = processor_class.from_pretrained(folder)
    pixels = [processor(image, return_tensors="pt").pixel_values.float() for image in images]
    results = reference(folder, is_v2, pixels)
    worst = {}
    total = alone = 0
    box_px = score = 0.0
    inputs, outputs = scratch / "inputs.safetensors", scratch / "outputs.safetensors"
    # Decoders of JPEG differ by a level or two; both sides get the same pixels.
    picture = scratch / "picture.png"
    for image, pixel_values, (theirs, seconds) in zip(images, pixels, results):
        image.save(picture)
        save_file({"pixel_values": pixel_values}, inputs)
        outputs.unlink(missing_ok=True)
        arguments = [folder, picture, THRESHOLD, inputs, outputs, *TEXTS]
        times = owlet(["--example", "owl_tensors"], *arguments)
        ours = load_file(outputs)
        if not torch.equal(ours["input_ids"], theirs["input_ids"]):
            sys.exit(f"{name}: token ids differ")
        for key, tensor in {**theirs, "pixel_values": pixel_values}.items():
            if ours[key].shape != tensor.shape:
                sys.exit(f"{name}: {key} is {ours[key].shape}, expected {tensor.shape}")
            worst[key] = max(worst.get(key, 0.0), float((ours[key] - tensor).abs().max()))
        found = compare_detections(ours, reference_detections(processor, theirs, image))
        total, alone = total + found[0], alone + found[1]
        box_px, score = max(box_px, found[2]), max(score, found[3])
        print(f"{name}: {spread(theirs)}; {times}; reference {seconds:.3f} s", file=sys.stderr)
    shutil.rmtree(folder)
    keys = ["pixel_values", "text_embeds", "clip_image_embeds", "image_embeds", "logits"]
    keys += ["pred_boxes", "objectness_logits"]
    cells = [f"{worst[key]:.1e}" if key in worst else "–" for key in keys]
    agreement = f"{total}, {alone} without partner"
    return f"| {name} | {' | '.join(cells)} | {agreement} | {box_px:.1e} px | {score:.1e} |"


def load_whole(model_class, folder):
    """The reference's network, all of whose weights are in the checkpoint."""
    model, info = model_class.from_pretrained(folder, output_loading_info=True)
    # A count that only training uses.
    counted = [key for key in info["missing_keys"] if not key.endswith("num_batches_tracked")]
    odd = {key: value for key, value in {**info, "missing_keys": counted}.items() if value}
    if odd:
        sys.exit(f"transformers does not take the checkpoint as it is: {odd}")
    return model.eval()


def segmenter_reference(name, folder, model, image):
    """Pixel values, and what `transformers` makes of them."""
    tokens = CLIPTokenizer.from_pretrained(folder)(TEXTS, padding="max_length", return_tensors="pt")
    if name.startswith("clipseg"):
        pixels = ViTImageProcessor.from_pretrained(folder)(image, return_tensors="pt").pixel_values
        embeds = model.clip.get_text_features(**tokens).pooler_output
        repeated = pixels.expand(len(TEXTS), -1, -1, -1)
        logits = model(**tokens, pixel_values=repeated).logits
        return {"pixel_values": pixels, "text_embeds": embeds, "logits": logits}
    side = model.config.vision_config.image_size
    # Stretched and not cut, as Owlet does.
    stretched = {"size": {"height": side, "width": side}, "do_center_crop": False}
    processor = CLIPImageProcessor.from_pretrained(folder, **stretched)
    pixels = processor(image, return_tensors="pt").pixel_values
    outputs = model(**tokens, pixel_values=pixels, output_segmentation=True)
    first, second = outputs.vision_model_output.attentions
    return {
        "pixel_values": pixels,
        "text_embeds": model.get_text_features(**tokens).pooler_output,
        "image_embeds": outputs.image_embeds,
        "shares": (second @ first).unflatten(-1, (int(first.shape[-1] ** 0.5), -1)),
        "logits": outputs.segmentation_logits,
    }


def compare_segmenter(name, images, scratch):
    folder = scratch / name
    owlet(["--bin", "owlet"], "random-model", name, "--out", folder, "--seed", 1)
    model_class = CLIPSegForImageSegmentation if name.startswith("clipseg") else GroupViTModel
    model = load_whole(model_class, folder)
    inputs, outputs = scratch / "inputs.safetensors", scratch / "outputs.safetensors"
    picture = scratch / "picture.png"
    worst = {}
    for image in images:
        image.save(picture)
        with torch.inference_mode():
            theirs = segmenter_reference(name, folder, model, image)
        save_file({"pixel_values": theirs["pixel_values"].float().contiguous()}, inputs)
        outputs.unlink(missing_ok=True)
        owlet(["--example", "text_segments"], folder, picture, inputs, outputs, *TEXTS)
        ours = load_file(outputs)
        for key, tensor in theirs.items():
            if ours[key].shape != tensor.shape:
                sys.exit(f"{name}: {key} is {ours[key].shape}, expected {tensor.shape}")
            worst[key] = max(worst.get(key, 0.0), float((ours[key] - tensor).abs().max()))
        logits = theirs["logits"]
        print(f"{name}: logits {logits.mean():.2f} ± {logits.std():.2f}", file=sys.stderr)
    shutil.rmtree(folder)
    keys = ["pixel_values", "text_embeds", "image_embeds", "shares", "logits"]
    cells = [f"{worst[key]:.1e}" if key in worst else "–" for key in keys]
    return f"| {name} | {' | '.join(cells)} |"


def reference_masks(model, processor, image, boxes):
    """What `transformers` gives for boxes: the tensors of the network, masks of the best of three
    at the size of the picture, and how many of their pixels lie within rounding of the edge."""
    encoded = processor(image, input_boxes=[boxes], return_tensors="pt")
    with torch.inference_mode():
        embeddings = model.get_image_embeddings(encoded["pixel_values"])
        outputs = model(image_embeddings=embeddings, input_boxes=encoded["input_boxes"])
    logits = processor.image_processor.post_process_masks(
        list(outputs.pred_masks), encoded["original_sizes"], encoded["reshaped_input_sizes"],
        binarize=False,
    )[0]
    best = outputs.iou_scores[0].argmax(-1)
    chosen = logits[torch.arange(len(boxes)), best]
    tensors = {
        "pixel_values": encoded["pixel_values"],
        "image_embeddings": embeddings,
        "pred_masks": outputs.pred_masks[0],
        "iou_scores": outputs.iou_scores[0],
    }
    return tensors, (chosen > 0).to(torch.uint8), int((chosen.abs() < 1e-3).sum())


def compare_box_segmenter(name, images, scratch):
    folder = scratch / name
    owlet(["--bin", "owlet"], "random-model", name, "--out", folder, "--seed", 1)
    model, info = SamModel.from_pretrained(folder, output_loading_info=True)
    odd = {key: value for key, value in info.items() if value}
    if odd:
        sys.exit(f"transformers does not take the checkpoint as it is: {odd}")
    model.eval()
    processor = SamProcessor(SamImageProcessor.from_pretrained(folder))
    worst, spreads = {}, {}
    pixels = apart = near = 0
    inputs, outputs = scratch / "inputs.safetensors", scratch / "outputs.safetensors"
    picture = scratch / "picture.png"
    for image in images:
        image.save(picture)
        sides = torch.tensor([image.width, image.height] * 2)
        boxes = torch.tensor(BOXES) * sides
        theirs, masks, uncertain = reference_masks(model, processor, image, boxes.tolist())
        save_file({"boxes": boxes, "pixel_values": theirs["pixel_values"].contiguous()}, inputs)
        outputs.unlink(missing_ok=True)
        times = owlet(["--example", "sam_tensors"], folder, picture, inputs, outputs)
        ours = load_file(outputs)
        for key, tensor in theirs.items():
            if ours[key].shape != tensor.shape:
                sys.exit(f"{name}: {key} is {ours[key].shape}, expected {tensor.shape}")
            worst[key] = max(worst.get(key, 0.0), float((ours[key] - tensor).abs().max()))
            spreads[key] = float(tensor.std())
        pixels += masks.numel()
        apart += int((masks != ours["masks"]).sum())
        near += uncertain
        areas = masks.flatten(1).float().mean(1).tolist()
        print(f"{name}: spreads {spreads}, shares of masks {areas}; {times}", file=sys.stderr)
    shutil.rmtree(folder)
    cells = " | ".join(f"{worst[key]:.1e}" for key in worst)
    return f"| {name} | {cells} | {apart} of {pixels} ({near} within 1e-3 of the edge) |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", nargs="+", type=Path)
    names = MODELS + SEGMENTERS + BOX_SEGMENTERS
    parser.add_argument("--model", action="append", choices=names, help="default: all")
    parser.add_argument("--scratch", type=Path, help="where checkpoints are written for a while")
    arguments = parser.parse_args()
    columns = ["model", "pixel values", "text embeds", "image embeds", "feature map", "logits"]
    columns += ["boxes", "objectness", f"detections above {THRESHOLD}", "boxes", "scores"]
    of_segmenters = ["model", "pixel values", "text embeds", "image embeds", "shares", "logits"]
    of_masks = ["model", "pixel values", "image embeddings", "masks", "predicted IoU"]
    of_masks += ["pixels of final masks that differ"]
    images = [Image.open(path).convert("RGB") for path in arguments.images]
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        for kind, run, head in [
            (MODELS, compare, columns),
            (SEGMENTERS, compare_segmenter, of_segmenters),
            (BOX_SEGMENTERS, compare_box_segmenter, of_masks),
        ]:
            chosen = [name for name in arguments.model or names if name in kind]
            rows = [run(name, images, Path(scratch)) for name in chosen]
            if rows:
                print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
                print("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
