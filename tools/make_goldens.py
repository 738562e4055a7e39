#!/usr/bin/env python3
"""Makes the small checkpoints and golden tensors under tests/fixtures/owl*.

The checkpoints are random, with more spread than a fresh initialisation has, so that an error in
any layer shows in the results. The golden tensors are what `transformers` computes from them.

    pip install -r tools/requirements.txt
    python tools/make_goldens.py

Run twice, it writes the same bytes. What it writes:

    owl_images/*.png            synthetic pictures of several shapes
    owlvit_tiny/                OWL-ViT, vocab.json + merges.txt, model.safetensors
    owlvit_tiny_sharded/        the same weights in two shards
    owlvit_tiny_f16/            the same weights stored as F16
    owlv2_tiny/                 OWLv2, tokenizer.json, model.safetensors
    owl*_tiny/goldens/          texts.safetensors, one file for each picture
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from transformers import (
    CLIPTokenizer,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2ImageProcessorPil,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessor,
    OwlViTImageProcessorPil,
)

ROOT = Path(__file__).resolve().parent.parent / "tests" / "fixtures"

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]

# Width and height. Against canvases of 80 (OWL-ViT) and 64 (OWLv2, after padding to a square):
# larger, smaller, mixed and equal.
PICTURES = {
    "landscape": (213, 140),
    "portrait": (120, 190),
    "small_portrait": (40, 56),
    "strip": (230, 38),
    "square": (64, 64),
}

# Of different lengths; the last one takes all 16 tokens of the tiny vocabulary.
TEXTS = [
    "a cat",
    "a photo of a dog",
    "Red SOFA!",
    "the left hand",
    "a photo of two red cups left of the blue dog of a cat",
]

MERGES = """
t h|th e</w>|i n|a n|o n|e r</w>|r e|o f</w>|p h|ph o|t o</w>|pho to</w>|c a|ca t</w>|d o|do g</w>
re d</w>|l e|le f|lef t</w>|h an|han d</w>|t w|tw o</w>|b l|bl u|blu e</w>|c u|cu p|cup s</w>
""".replace("\n", "|")


def byte_symbols():
    """The printable stand-ins for all bytes, in the order of CLIP's vocabulary."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(0x100 + i) for i in range(len(rest))]


def vocabulary():
    merges = [merge for merge in MERGES.split("|") if merge]
    symbols = byte_symbols()
    tokens = symbols + [symbol + "</w>" for symbol in symbols]
    tokens += [merge.replace(" ", "") for merge in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: i for i, token in enumerate(tokens)}, merges


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tokenizer(folder, whole):
    vocab, merges = vocabulary()
    tokenizer = {"pad_token": "!", "model_max_length": 16, "tokenizer_class": "CLIPTokenizer"}
    write_json(folder / "tokenizer_config.json", tokenizer)
    role = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    write_json(
        folder / "special_tokens_map.json",
        {
            "bos_token": {"content": "<|startoftext|>", **role},
            "eos_token": {"content": "<|endoftext|>", **role},
            "pad_token": "!",
            "unk_token": {"content": "<|endoftext|>", **role},
        },
    )
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    if whole:
        saved = CLIPTokenizer.from_pretrained(folder)
        for name in ["vocab.json", "merges.txt", "special_tokens_map.json"]:
            (folder / name).unlink()
        saved.save_pretrained(folder)


def write_preprocessor(folder, kind, side):
    common = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
        "rescale_factor": 1 / 255,
        "size": {"height": side, "width": side},
    }
    if kind == "owlvit":
        special = {
            "crop_size": {"height": side, "width": side},
            "do_center_crop": False,
            "image_processor_type": "OwlViTImageProcessor",
            "resample": 3,
        }
    else:
        special = {"do_pad": True, "image_processor_type": "Owlv2ImageProcessor", "resample": 2}
    write_json(folder / "preprocessor_config.json", dict(sorted({**common, **special}.items())))


def randomise(model, seed, shift):
    """Gives every parameter a spread that keeps activations near 1 and tells patches, texts and
    boxes apart. `shift` centres the scores."""
    rng = np.random.Generator(np.random.PCG64(seed))
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.from_numpy(rng.standard_normal(tuple(parameter.shape), np.float32))
            if parameter.ndim == 0:
                parameter.fill_(2.6592)
            elif "norm" in name:
                parameter.copy_(0.25 * noise + (1.0 if name.endswith("weight") else 0.0))
            elif name == "class_head.logit_scale.bias":
                parameter.fill_(6.0)
            elif name == "class_head.logit_shift.bias":
                parameter.fill_(shift)
            elif name.startswith("class_head.logit_"):
                # Small, so that texts and not shifts decide the scores.
                parameter.copy_(0.3 * noise / parameter[0].numel() ** 0.5)
            elif name.endswith("bias"):
                parameter.copy_(0.2 * noise)
            elif "embedding" in name and "patch" not in name:
                parameter.copy_(noise)
            else:
                fan_in = parameter[0].numel()
                parameter.copy_(1.2 * noise / fan_in**0.5)


def picture(name, width, height, seed):
    """Gradients, edges, thin lines and noise: what resampling filters differ on."""
    rng = np.random.Generator(np.random.PCG64(seed))
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack(
        [255 * x / max(width - 1, 1), 255 * y / max(height - 1, 1), 127 + 90 * np.sin(x * y / 97)],
        axis=-1,
    )
    pixels[height // 2 :, : width // 3] += rng.normal(0, 40, (height - height // 2, width // 3, 3))
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")
    draw = ImageDraw.Draw(image)
    draw.rectangle([width // 8, height // 8, width // 3, height // 2], fill=(250, 30, 20))
    draw.ellipse([width // 2, height // 4, width - 4, height - 3], fill=(10, 60, 230))
    for i in range(0, width, 5):
        draw.line([i, 0, i, height // 10], fill=(255, 255, 255) if i % 2 else (0, 0, 0))
    return image


def threshold_in_a_gap(scores):
    """A threshold that keeps about a third of the boxes and lies in the middle of a wide gap, so
    that rounding cannot change which are kept."""
    ordered = torch.cat(scores).sort().values
    low, high = int(0.5 * len(ordered)), int(0.85 * len(ordered))
    gaps = ordered[low + 1 : high] - ordered[low : high - 1]
    widest = int(gaps.argmax())
    return float((ordered[low + widest] + ordered[low + widest + 1]) / 2)


def detections(processor, outputs, threshold, image):
    found = processor.post_process_object_detection(
        outputs, threshold=threshold, target_sizes=[(image.height, image.width)]
    )[0]
    return {key: found[key].contiguous() for key in ["boxes", "scores", "labels"]}


def run(model, base, ids, pixels, is_v2):
    with torch.no_grad():
        outputs = model(input_ids=ids, attention_mask=mask_of(ids), pixel_values=pixels)
        clip = base(input_ids=ids, attention_mask=mask_of(ids), pixel_values=pixels)
        tokens = base.vision_model.post_layernorm(outputs.vision_model_output.last_hidden_state)
        flat = outputs.image_embeds.flatten(1, 2)
        tensors = {
            "image_tokens": tokens,
            "image_embeds": clip.image_embeds,
            "logits_per_image": clip.logits_per_image,
            "feature_map": outputs.image_embeds,
            "image_class_embeds": model.class_head.dense0(flat),
            "logits": outputs.logits,
            "pred_boxes": outputs.pred_boxes,
        }
        if is_v2:
            tensors["objectness_logits"] = outputs.objectness_logits
    return outputs, tensors


def mask_of(ids):
    """1 up to the end token, which is the highest id, 0 for the padding after it."""
    end = ids.argmax(-1, keepdim=True)
    return (torch.arange(ids.shape[1])[None] <= end).long()


def save(path, tensors, **facts):
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    metadata = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    # One string, since safetensors does not keep the order of several.
    save_file(tensors, path, {"facts": json.dumps({**facts, **metadata})})
    assert path.stat().st_size < 900_000, f"{path} is too large for a fixture"


def make_model(kind, side, patch, seed, shift):
    folder = ROOT / f"{kind}_tiny"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    vocab, _ = vocabulary()
    is_v2 = kind == "owlv2"
    config_class, model_class = (
        (Owlv2Config, Owlv2ForObjectDetection)
        if is_v2
        else (OwlViTConfig, OwlViTForObjectDetection)
    )
    # Keys that are left out take their defaults, as in configurations on the hub.
    config = {
        "architectures": [model_class.__name__],
        "model_type": kind,
        "projection_dim": 48,
        "text_config": {
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "vocab_size": len(vocab),
            "bos_token_id": len(vocab) - 2,
            "eos_token_id": len(vocab) - 1,
        },
        "vision_config": {
            "hidden_size": 40,
            "image_size": side,
            "intermediate_size": 80,
            "num_attention_heads": 5,
            "num_hidden_layers": 3,
            "patch_size": patch,
        },
    }
    write_json(folder / "config.json", config)
    write_tokenizer(folder, whole=is_v2)
    write_preprocessor(folder, kind, side)
    model = model_class._from_config(
        config_class.from_pretrained(folder), attn_implementation="eager"
    ).eval()
    randomise(model, seed, shift)
    save_file(
        {name: tensor.contiguous() for name, tensor in sorted(model.state_dict().items())},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    return folder, model, is_v2


def make_goldens(folder, model, is_v2):
    goldens = folder / "goldens"
    goldens.mkdir()
    base = model.owlv2 if is_v2 else model.owlvit
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXTS, padding="max_length", max_length=16, return_tensors="pt").input_ids
    pil, vision = (
        (Owlv2ImageProcessorPil, Owlv2ImageProcessor)
        if is_v2
        else (OwlViTImageProcessorPil, OwlViTImageProcessor)
    )
    processors = {
        "pil": pil.from_pretrained(folder),
        "torchvision": vision.from_pretrained(folder),
    }
    results = {}
    for name in PICTURES:
        image = Image.open(ROOT / "owl_images" / f"{name}.png")
        image.load()
        for variant, processor in processors.items():
            pixels = processor(image, return_tensors="pt").pixel_values.float()
            results[name, variant] = (image, pixels, *run(model, base, ids, pixels, is_v2))
    threshold = threshold_in_a_gap(
        [out.logits.amax(-1).sigmoid().flatten() for _, _, out, _ in results.values()]
    )
    for name in PICTURES:
        tensors = {}
        for variant, processor in processors.items():
            image, pixels, outputs, found = results[name, variant]
            tensors[f"{variant}.pixel_values"] = pixels
            if variant == "pil":
                tensors.update(found)
            for key, tensor in detections(processor, outputs, threshold, image).items():
                tensors[f"{variant}.detections.{key}"] = tensor
        save(goldens / f"{name}.safetensors", tensors, threshold=threshold)
        print(
            f"{folder.name} {name}: logits {tensors['logits'].min():.2f} to"
            f" {tensors['logits'].max():.2f} (std {tensors['logits'].std():.2f}),"
            f" {len(tensors['pil.detections.labels'])} detections,"
            f" labels {sorted(set(tensors['pil.detections.labels'].tolist()))},"
            f" box sides {tensors['pred_boxes'][..., 2:].min():.3f} to"
            f" {tensors['pred_boxes'][..., 2:].max():.3f}"
        )
    with torch.no_grad():
        pooled = base.text_model(input_ids=ids, attention_mask=mask_of(ids)).pooler_output
        embeds = base.text_projection(pooled)
        embeds = embeds / embeds.norm(dim=-1, keepdim=True)
    tokens = {"input_ids": ids, "text_embeds": embeds, "box_bias": model.box_bias}
    save(goldens / "texts.safetensors", tokens, texts=TEXTS)


def make_variants(folder, model):
    """The same weights in two shards, and stored as F16 with their own golden logits."""
    sharded = ROOT / "owlvit_tiny_sharded"
    half = ROOT / "owlvit_tiny_f16"
    for variant in [sharded, half]:
        shutil.rmtree(variant, ignore_errors=True)
        variant.mkdir()
        shutil.copy(folder / "config.json", variant)
    state = {name: tensor.contiguous() for name, tensor in sorted(model.state_dict().items())}
    names = list(state)
    weight_map = {}
    for i, part in enumerate([names[: len(names) // 2], names[len(names) // 2 :]]):
        file = f"model-0000{i + 1}-of-00002.safetensors"
        save_file({name: state[name] for name in part}, sharded / file, {"format": "pt"})
        weight_map.update(dict.fromkeys(part, file))
    total = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_json(sharded / "model.safetensors.index.json", index)

    rounded = {name: tensor.half() for name, tensor in state.items()}
    save_file(rounded, half / "model.safetensors", {"format": "pt"})
    model.load_state_dict({name: tensor.float() for name, tensor in rounded.items()})
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXTS, padding="max_length", max_length=16, return_tensors="pt").input_ids
    processor = OwlViTImageProcessorPil.from_pretrained(folder)
    image = Image.open(ROOT / "owl_images" / "landscape.png")
    pixels = processor(image, return_tensors="pt").pixel_values
    outputs, found = run(model, model.owlvit, ids, pixels, False)
    keep = ["logits", "pred_boxes"]
    save(half / "golden_landscape.safetensors", {name: found[name] for name in keep})


def main():
    # One thread: sums are taken in one order, whatever the machine.
    torch.set_num_threads(1)
    images = ROOT / "owl_images"
    images.mkdir(parents=True, exist_ok=True)
    for seed, (name, (width, height)) in enumerate(PICTURES.items()):
        picture(name, width, height, seed).save(images / f"{name}.png", optimize=True)
    # Seeds with which several texts are found and no two texts tie for a box.
    folder, model, is_v2 = make_model("owlvit", side=80, patch=16, seed=28, shift=-0.2)
    make_goldens(folder, model, is_v2)
    make_variants(folder, model)
    make_goldens(*make_model("owlv2", side=64, patch=8, seed=12, shift=-0.6))


if __name__ == "__main__":
    main()
