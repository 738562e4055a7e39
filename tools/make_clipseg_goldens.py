#!/usr/bin/env python3
"""Makes the small checkpoints and golden tensors under tests/fixtures/clipseg*.

As tools/make_goldens.py, which it takes the pictures and the vocabulary from: random checkpoints,
and what `transformers` and pycocotools compute from them.

    pip install -r tools/requirements.txt
    python tools/make_clipseg_goldens.py

Run twice, it writes the same bytes. What it writes:

    clipseg_tiny/             one transposed convolution, FiLM before the second decoder layer
    clipseg_refined_tiny/     the refined decoder of three convolutions, FiLM before the first layer
    clipseg*_tiny/goldens/    texts.safetensors, one file for each picture, and visual.safetensors:
                              the picture "square" as the prompt of two others
"""

import json
import shutil

import numpy as np
import torch
from make_goldens import (
    PICTURES,
    ROOT,
    mask_of,
    save,
    vocabulary,
    write_json,
    write_tokenizer,
)
from PIL import Image
from pycocotools import mask as coco
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate
from transformers import (
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPTokenizer,
    ViTImageProcessor,
)

IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]

# The last one takes all 16 tokens.
TEXTS = ["a cat", "the left hand", "a photo of two red cups left of the blue dog of a cat"]

# So many texts of a picture are kept at the size of the source, which takes room.
AT_SOURCE_SIZE = 1


def write_preprocessor(folder, side):
    settings = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": IMAGENET_MEAN,
        "image_processor_type": "ViTImageProcessor",
        "image_std": IMAGENET_STD,
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": side, "width": side},
    }
    write_json(folder / "preprocessor_config.json", settings)


def pad_with_the_end(folder):
    """The released checkpoints pad with the end token: the highest id stands there many times."""
    for name in ["tokenizer_config.json", "special_tokens_map.json"]:
        path = folder / name
        settings = json.loads(path.read_text())
        settings["pad_token"] = "<|endoftext|>"
        write_json(path, settings)


def randomise(model, seed):
    """A spread that keeps activations near 1, tells prompts apart and puts about half of the
    logits above 0."""
    rng = np.random.Generator(np.random.PCG64(seed))
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.from_numpy(rng.standard_normal(tuple(parameter.shape), np.float32))
            if parameter.ndim == 0:
                parameter.fill_(2.6592)
            elif "norm" in name:
                parameter.copy_(0.25 * noise + (1.0 if name.endswith("weight") else 0.0))
            elif name.endswith("bias"):
                parameter.copy_(0.2 * noise)
            elif "embedding" in name and "patch" not in name:
                parameter.copy_(noise)
            elif "transposed_convolution" in name:
                # Kernels that are transposed have their inputs first, and each output sees one
                # place of them.
                plain = name.endswith("0.weight")
                inputs = parameter[0].numel() if plain else parameter.shape[0]
                parameter.copy_(2.0 * noise / inputs**0.5)
            else:
                parameter.copy_(1.2 * noise / parameter[0].numel() ** 0.5)


def make_model(name, seed, side, vision, **decoder):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    vocab, _ = vocabulary()
    config = {
        "architectures": ["CLIPSegForImageSegmentation"],
        "model_type": "clipseg",
        "projection_dim": 24,
        "text_config": {
            "hidden_size": 32,
            "intermediate_size": 64,
            "max_position_embeddings": 16,
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "vocab_size": len(vocab),
            "bos_token_id": len(vocab) - 2,
            "eos_token_id": len(vocab) - 1,
        },
        "vision_config": {
            "hidden_size": 40,
            "intermediate_size": 80,
            "num_attention_heads": 5,
            **vision,
        },
        "reduce_dim": 16,
        "decoder_num_attention_heads": 4,
        "decoder_intermediate_size": 48,
        **decoder,
    }
    write_json(folder / "config.json", config)
    write_tokenizer(folder, whole=False)
    pad_with_the_end(folder)
    write_preprocessor(folder, side)
    model = CLIPSegForImageSegmentation._from_config(
        CLIPSegConfig.from_pretrained(folder), attn_implementation="eager"
    ).eval()
    randomise(model, seed)
    save_file(
        {key: tensor.contiguous() for key, tensor in sorted(model.state_dict().items())},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    return folder, model


def run(model, ids, pixels):
    """Logits, and what goes into the decoder, told by hooks and not by the reference's own
    bookkeeping."""
    outputs = {}

    def keep(index):
        return lambda module, inputs, output: outputs.update({index: output})

    layers = model.clip.vision_model.encoder.layers
    hooks = [layers[i].register_forward_hook(keep(i)) for i in model.config.extract_layers]
    count = len(ids)
    with torch.no_grad():
        logits = model(
            input_ids=ids,
            attention_mask=mask_of(ids),
            pixel_values=pixels.expand(count, -1, -1, -1),
        ).logits
    for hook in hooks:
        hook.remove()
    return logits, {f"layer.{i}": outputs[i][:1] for i in model.config.extract_layers}


def threshold_in_a_gap(scores):
    """A threshold in the middle of a wide gap between the scores of pixels, so that rounding moves
    no pixel over it."""
    ordered = scores.double().flatten().sort().values
    low, high = int(0.55 * len(ordered)), int(0.95 * len(ordered))
    gaps = ordered[low + 1 : high] - ordered[low : high - 1]
    widest = int(gaps.argmax())
    assert gaps[widest] > 1e-4, f"no gap in the scores, at most {gaps[widest]}"
    return float((ordered[low + widest] + ordered[low + widest + 1]) / 2)


def make_goldens(folder, model):
    goldens = folder / "goldens"
    goldens.mkdir()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXTS, padding="max_length", max_length=16, return_tensors="pt").input_ids
    processor = ViTImageProcessor.from_pretrained(folder)
    for name in PICTURES:
        image = Image.open(ROOT / "owl_images" / f"{name}.png")
        image.load()
        pixels = processor(image, return_tensors="pt").pixel_values.float()
        logits, tensors = run(model, ids, pixels)
        # The reference has no step of its own for this; it is what transformers does to the
        # logits of its other segmentation models.
        size = (image.height, image.width)
        resized = interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
        found = []
        for at_source in resized.sigmoid():
            threshold = threshold_in_a_gap(at_source)
            mask = np.asfortranarray((at_source.double() > threshold).numpy().astype(np.uint8))
            rle = coco.encode(mask)
            y, x = np.nonzero(mask)
            found.append(
                {
                    "threshold": threshold,
                    "counts": rle["counts"].decode("ascii"),
                    "size": rle["size"],
                    "area_px": int(coco.area(rle)),
                    "box_xywh_px": coco.toBbox(rle).tolist(),
                    "centroid_px": [float(x.mean() + 0.5), float(y.mean() + 0.5)],
                }
            )
        tensors |= {
            "pixel_values": pixels,
            "logits": logits,
            "logits_at_source_size": resized[:AT_SOURCE_SIZE],
        }
        with torch.no_grad():
            image_embeds = model.clip.get_image_features(pixels).pooler_output
        save(goldens / f"{name}.safetensors", tensors | {"image_embeds": image_embeds}, masks=found)
        between = (logits[0] - logits[1]).abs().mean()
        print(
            f"{folder.name} {name}: {tuple(logits.shape)}, {logits.min():.2f} to {logits.max():.2f}"
            f" (std {logits.std():.2f}), two prompts differ by {between:.2f}, areas"
            f" {[mask['area_px'] for mask in found]} of {size[0] * size[1]}"
        )
    with torch.no_grad():
        embeds = model.clip.get_text_features(ids, attention_mask=mask_of(ids)).pooler_output
    # A picture as the prompt, for two other pictures.
    visual = {}
    of = {
        name: load_file(goldens / f"{name}.safetensors")["pixel_values"]
        for name in PICTURES
    }
    with torch.no_grad():
        for name in ["landscape", "portrait"]:
            logits = model(pixel_values=of[name], conditional_pixel_values=of["square"]).logits
            visual[f"{name}.logits"] = logits.reshape(1, *logits.shape[-2:])
    save(goldens / "visual.safetensors", visual)
    save(goldens / "texts.safetensors", {"input_ids": ids, "text_embeds": embeds}, texts=TEXTS)


def main():
    # One thread: sums are taken in one order, whatever the machine.
    torch.set_num_threads(1)
    # Both canvases have more patches than positions were learned for, as the released
    # checkpoints do: 14 x 14 at 22 x 22.
    make_goldens(
        *make_model(
            "clipseg_tiny",
            seed=3,
            side=64,
            vision={"image_size": 32, "patch_size": 8, "num_hidden_layers": 4},
            extract_layers=[0, 2],
            conditional_layer=1,
        )
    )
    make_goldens(
        *make_model(
            "clipseg_refined_tiny",
            seed=4,
            side=80,
            vision={"image_size": 48, "patch_size": 16, "num_hidden_layers": 5},
            extract_layers=[0, 2, 3],
            use_complex_transposed_convolution=True,
        )
    )


if __name__ == "__main__":
    main()
