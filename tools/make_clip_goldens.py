#!/usr/bin/env python3
"""Makes the small checkpoint and golden tensors under tests/fixtures/clip_tiny.

As tools/make_clipseg_goldens.py: a random checkpoint, and what `transformers` computes from it. The
pixel values are those of the torchvision variant of the processor.

    pip install -r tools/requirements.txt
    python tools/make_clip_goldens.py

Run twice, it writes the same bytes.
"""

import shutil

import torch
from make_clipseg_goldens import TEXTS, pad_with_the_end, randomise
from make_goldens import (
    CLIP_MEAN,
    CLIP_STD,
    PICTURES,
    ROOT,
    mask_of,
    save,
    vocabulary,
    write_json,
    write_tokenizer,
)
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

SIDE = 48


def make_model(seed):
    folder = ROOT / "clip_tiny"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    vocab, _ = vocabulary()
    config = {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": 24,
        "text_config": {
            "hidden_size": 24,
            "intermediate_size": 48,
            "max_position_embeddings": 16,
            "num_attention_heads": 3,
            "num_hidden_layers": 2,
            "vocab_size": len(vocab),
            "bos_token_id": len(vocab) - 2,
            "eos_token_id": len(vocab) - 1,
        },
        "vision_config": {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "image_size": SIDE,
            "patch_size": 16,
        },
    }
    write_json(folder / "config.json", config)
    write_tokenizer(folder, whole=False)
    pad_with_the_end(folder)
    settings = {
        "crop_size": SIDE,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
        "resample": 3,
        "size": SIDE,
    }
    write_json(folder / "preprocessor_config.json", settings)
    model = CLIPModel._from_config(
        CLIPConfig.from_pretrained(folder), attn_implementation="eager"
    ).eval()
    randomise(model, seed)
    save_file(
        {key: tensor.contiguous() for key, tensor in sorted(model.state_dict().items())},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    return folder, model


def make_goldens(folder, model):
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXTS, padding="max_length", max_length=16, return_tensors="pt").input_ids
    processor = CLIPImageProcessor.from_pretrained(folder)
    tensors = {"input_ids": ids}
    with torch.no_grad():
        features = model.get_text_features(ids, attention_mask=mask_of(ids))
        tensors["text_features"] = features.pooler_output
        for name in PICTURES:
            image = Image.open(ROOT / "owl_images" / f"{name}.png")
            image.load()
            pixels = processor(image, return_tensors="pt").pixel_values.float()
            outputs = model(input_ids=ids, attention_mask=mask_of(ids), pixel_values=pixels)
            tensors |= {
                f"{name}.pixel_values": pixels,
                f"{name}.image_features": model.get_image_features(pixels).pooler_output,
                f"{name}.logits_per_image": outputs.logits_per_image,
            }
            print(name, outputs.logits_per_image.tolist())
    save(folder / "goldens.safetensors", tensors, texts=TEXTS)


def main():
    # One thread: sums are taken in one order, whatever the machine.
    torch.set_num_threads(1)
    make_goldens(*make_model(seed=6))


if __name__ == "__main__":
    main()
