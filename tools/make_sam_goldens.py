#!/usr/bin/env python3
"""Makes the small checkpoints and golden tensors under tests/fixtures/*sam_tiny.

As tools/make_goldens.py, which it takes the pictures from: random checkpoints, and what
`transformers` computes from them. It does not have MobileSAM's image encoder, which is
tools/tiny_vit_reference.py here; its checkpoint has the authors' names first and goes through
tools/convert_mobile_sam.py.

    pip install -r tools/requirements.txt
    python tools/make_sam_goldens.py

Run twice, it writes the same bytes. What it writes:

    sam_tiny/             SAM with windows that do not divide the image, and with padding
    mobile_sam_tiny/      the same decoder behind a TinyViT
    *sam_tiny/goldens/    one file for each picture
"""

import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from convert_mobile_sam import convert, write
from make_goldens import ROOT, save, write_json
from PIL import Image
from pycocotools import mask as coco
from safetensors.torch import save_file
from tiny_vit_reference import TinyViT, hold_against_timm
from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor

PICTURES = ["landscape", "portrait", "square"]

# Boxes and points as shares of width and height. What stands in one entry is one pass of the
# reference, which takes prompts of one kind only.
PASSES = {
    "boxes": {"boxes": [[0.1, 0.1, 0.4, 0.55], [0.5, 0.2, 0.98, 0.97], [0.0, 0.0, 1.0, 1.0]]},
    "point": {"points": [[[0.7, 0.6]]], "labels": [[1]]},
    "points": {"points": [[[0.25, 0.3], [0.8, 0.9], [0.3, 0.1]]], "labels": [[1, 0, 1]]},
    "both": {
        "boxes": [[0.45, 0.15, 0.9, 0.8]],
        "points": [[[0.6, 0.5], [0.5, 0.2]]],
        "labels": [[1, 0]],
    },
}


def randomise(model, seed):
    """A spread that keeps activations near 1 and tells prompts apart. Rounded to f16, so that the
    checkpoint can be stored in it."""
    rng = np.random.Generator(np.random.PCG64(seed))
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.from_numpy(rng.standard_normal(tuple(parameter.shape), np.float32))
            if "norm" in name:
                values = 0.25 * noise + (1.0 if name.endswith("weight") else 0.0)
            elif name.endswith("bias"):
                values = 0.2 * noise
            elif "rel_pos" in name:
                values = 0.3 * noise
            elif "embed" in name and parameter.ndim != 4:
                values = 0.7 * noise
            elif "token" in name and "attn" not in name:
                values = noise
            elif "upscale_conv" in name:
                # Kernels that are transposed have their inputs first, and each output sees one
                # place of them.
                values = 2.0 * noise / parameter.shape[0] ** 0.5
            else:
                gain = 2.0 if "q_proj" in name or "k_proj" in name else 1.3
                values = gain * noise / parameter[0].numel() ** 0.5
            parameter.copy_(values.half().float())


def make_model():
    folder = ROOT / "sam_tiny"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = {
        "architectures": ["SamModel"],
        "model_type": "sam",
        "vision_config": {
            "hidden_size": 24,
            "mlp_dim": 40,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "image_size": 64,
            "patch_size": 8,
            "window_size": 3,
            "global_attn_indexes": [1],
            "output_channels": 32,
            "num_pos_feats": 16,
        },
        "prompt_encoder_config": {
            "hidden_size": 32,
            "image_size": 64,
            "patch_size": 8,
            "mask_input_channels": 8,
        },
        "mask_decoder_config": {
            "hidden_size": 32,
            "mlp_dim": 48,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": 24,
        },
    }
    write_json(folder / "config.json", config)
    settings = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "SamImageProcessor",
        "image_std": [0.229, 0.224, 0.225],
        "pad_size": {"height": 64, "width": 64},
        "processor_class": "SamProcessor",
        "resample": 2,
        "rescale_factor": 1 / 255,
        # Not the whole canvas, so that no mix-up of the two goes by.
        "size": {"longest_edge": 60},
    }
    write_json(folder / "preprocessor_config.json", settings)
    model = SamModel._from_config(
        SamConfig.from_pretrained(folder), attn_implementation="eager"
    ).eval()
    randomise(model, seed=5)
    save_file(
        {
            key: tensor.half().contiguous()
            for key, tensor in sorted(model.state_dict().items())
            # The same tensor as shared_image_embedding's; `save_pretrained` leaves it out, too.
            if key != "prompt_encoder.shared_embedding.positional_embedding"
        },
        folder / "model.safetensors",
        {"format": "pt"},
    )
    return folder, model


def authors_names(model):
    """Prompt encoder and mask decoder by the names that SAM's authors gave them."""
    last = model.config.mask_decoder_config.iou_head_depth - 1
    rules = [
        (r"^shared_image_embedding\.positional_embedding$",
         "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
        (r"\.point_embed\.", ".point_embeddings."),
        (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
        (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
        (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
        (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
        (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
        (r"\.upscale_conv1\.", ".output_upscaling.0."),
        (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
        (r"\.upscale_conv2\.", ".output_upscaling.3."),
        (r"(transformer\..*)layer_norm(\d|_final_attn)\.", r"\1norm\2."),
        (r"(_mlps\.\d+|_head)\.layers\.0\.", r"\1.layers.1."),
        (r"(_mlps\.\d+|_head)\.proj_in\.", r"\1.layers.0."),
        (r"(_mlps\.\d+)\.proj_out\.", r"\1.layers.2."),
        (r"(_head)\.proj_out\.", rf"\1.layers.{last}."),
    ]
    state = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("vision_encoder.") or name.startswith("prompt_encoder.shared"):
            continue
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        state[name] = tensor
    return state


def make_mobile_model():
    folder = ROOT / "mobile_sam_tiny"
    shutil.rmtree(folder, ignore_errors=True)
    encoder = TinyViT(
        # Stages of 32, 16, 8 and 8 places a side: windows that divide them and that do not.
        sizes=[8, 12, 16, 20], depths=[1, 2, 1, 1], heads=[1, 3, 2, 5], windows=[5, 5, 4, 3],
        outputs=32, mlp_ratio=2.0, expand_ratio=3.0,
    ).eval()
    randomise(encoder, seed=6)
    rng = np.random.Generator(np.random.PCG64(7))
    for name, buffer in sorted(encoder.named_buffers()):
        noise = torch.from_numpy(rng.random(tuple(buffer.shape), np.float32))
        if name.endswith("running_mean"):
            buffer.copy_(noise - 0.5)
        elif name.endswith("running_var"):
            buffer.copy_(0.5 + noise)
    # Only its prompt encoder and decoder are used; 8 heads, as the converter takes for granted.
    sides = {"hidden_size": 32, "image_size": 128, "patch_size": 16}
    model = SamModel._from_config(
        SamConfig(
            vision_config={**sides, "num_hidden_layers": 1, "global_attn_indexes": [],
                           "output_channels": 32, "num_pos_feats": 16, "num_attention_heads": 4},
            prompt_encoder_config={**sides, "mask_input_channels": 8},
            mask_decoder_config={"hidden_size": 32, "mlp_dim": 48, "num_attention_heads": 8,
                                 "iou_head_hidden_dim": 24, "layer_norm_eps": 1e-5},
        ),
        attn_implementation="eager",
    ).eval()
    randomise(model, seed=8)
    state = authors_names(model)
    state |= {f"image_encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    # The way of a released file: a pickle, read without running it.
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "mobile_sam.pt"
        torch.save(state, path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    tensors, config = convert(state, image_size=128)
    write(folder, tensors, config)
    return folder, model, encoder


def scaled(shares, image):
    """Shares of width and height to pixels, exact in f32."""
    sides = np.tile([image.width, image.height], np.shape(shares)[-1] // 2)
    return np.float32(np.asarray(shares) * sides).tolist()


def run(processor, model, encoder, image, prompts):
    """All that the reference makes of prompts of one kind."""
    inputs = {}
    if "boxes" in prompts:
        inputs["input_boxes"] = [scaled(prompts["boxes"], image)]
    if "points" in prompts:
        inputs["input_points"] = [scaled(prompts["points"], image)]
        inputs["input_labels"] = [prompts["labels"]]
    encoded = processor(image, **inputs, return_tensors="pt")
    given = {key: encoded[key] for key in inputs}
    with torch.no_grad():
        embeddings = encoder(encoded["pixel_values"])
        sparse, _ = model.get_prompt_embeddings(**given)
        outputs = model(image_embeddings=embeddings, **given)
    logits = processor.image_processor.post_process_masks(
        list(outputs.pred_masks),
        encoded["original_sizes"],
        encoded["reshaped_input_sizes"],
        binarize=False,
    )[0]
    masks = []
    for at_source, scores in zip(logits, outputs.iou_scores[0]):
        best = int(scores.argmax())
        ordered = scores.sort().values
        assert ordered[-1] - ordered[-2] > 1e-3, "two masks are as good as each other"
        chosen = at_source[best]
        mask = np.asfortranarray((chosen > 0).numpy().astype(np.uint8))
        maybe = (chosen > -1).sum()
        masks.append(
            {
                "best": best,
                "counts": coco.encode(mask)["counts"].decode("ascii"),
                "area_px": int(mask.sum()),
                # So many pixels may go either way by rounding.
                "uncertain_px": int((chosen.abs() < 1e-4).sum()),
                "stability": float((chosen > 1).sum() / maybe) if maybe else 0.0,
            }
        )
    tensors = {
        "tokens": sparse[0],
        "low_res_masks": outputs.pred_masks[0],
        "iou_scores": outputs.iou_scores[0],
    }
    return encoded, embeddings, tensors, {**{k: v[0] for k, v in inputs.items()}, "masks": masks}


def make_goldens(folder, model, encoder, pictures):
    goldens = folder / "goldens"
    goldens.mkdir()
    processor = SamProcessor(SamImageProcessor.from_pretrained(folder))
    for name in pictures:
        image = Image.open(ROOT / "owl_images" / f"{name}.png")
        image.load()
        kept, facts = {}, {}
        for kind, prompts in PASSES.items():
            encoded, embeddings, tensors, facts[kind] = run(processor, model, encoder, image, prompts)
            kept |= {f"{kind}.{key}": tensor for key, tensor in tensors.items()}
        if isinstance(encoder, TinyViT):
            # All else is as in the other checkpoint.
            kept = {f"boxes.{key}": kept[f"boxes.{key}"] for key in ["low_res_masks", "iou_scores"]}
        else:
            kept["pixel_values"] = encoded["pixel_values"]
        kept["image_embeddings"] = embeddings
        save(goldens / f"{name}.safetensors", kept, passes=facts)
        masks = kept["boxes.low_res_masks"]
        print(
            f"{folder.name} {name}: embeddings {embeddings.std():.2f}, masks"
            f" {masks.min():.2f} to {masks.max():.2f} (std {masks.std():.2f}), two boxes differ by"
            f" {(masks[0] - masks[1]).abs().mean():.2f}, areas"
            f" {[m['area_px'] for f in facts.values() for m in f['masks']]} of"
            f" {image.width * image.height}, IoU {kept['boxes.iou_scores'].tolist()}, uncertain"
            f" {sum(m['uncertain_px'] for f in facts.values() for m in f['masks'])}"
        )


def main():
    # One thread: sums are taken in one order, whatever the machine.
    torch.set_num_threads(1)
    folder, model = make_model()
    make_goldens(folder, model, model.get_image_embeddings, PICTURES)
    hold_against_timm()
    make_goldens(*make_mobile_model(), ["landscape"])


if __name__ == "__main__":
    main()
