#!/usr/bin/env python3
"""Makes the small checkpoint and golden tensors under tests/fixtures/groupvit_tiny.

As tools/make_clipseg_goldens.py: a random checkpoint and what `transformers` computes from it. The
step from groups to pixels with a background is not part of `transformers`; it is written down here
once more, after the paper and the authors' evaluation (NVlabs/GroupViT,
segmentation/evaluation/group_vit_seg.py, `encode_decode`).

    pip install -r tools/requirements.txt
    python tools/make_groupvit_goldens.py

Run twice, it writes the same bytes.
"""

import json
import shutil

import numpy as np
import torch
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
from torch.nn.functional import interpolate, normalize, one_hot
from transformers import CLIPImageProcessor, CLIPTokenizer, GroupViTConfig, GroupViTModel

SIDE = 48

# More than the five that the authors' rule keeps for a picture. The last one takes all 16 tokens.
TEXTS = [
    "a cat",
    "the left hand",
    "a photo of a dog",
    "two cups",
    "a sofa",
    "red",
    "a photo of two red cups left of the blue dog of a cat",
]

# The texts of each prompt, as indices: the second one has a synonym.
PROMPTS = [[0], [1, 2], [3], [4], [5], [6]]

BACKGROUND_THRESHOLD = 0.6


def write_preprocessor(folder):
    """As the released checkpoints have it, old names and all."""
    settings = {
        "crop_size": SIDE,
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
        "processor_class": "CLIPProcessor",
        "resample": 3,
        "size": SIDE,
    }
    write_json(folder / "preprocessor_config.json", settings)


def pad_with_the_end(folder):
    """As the released checkpoints do."""
    for name in ["tokenizer_config.json", "special_tokens_map.json"]:
        path = folder / name
        settings = json.loads(path.read_text())
        settings["pad_token"] = "<|endoftext|>"
        write_json(path, settings)


def randomise(model, seed):
    """A spread that keeps activations near 1, makes groups of several sizes and tells texts
    apart."""
    rng = np.random.Generator(np.random.PCG64(seed))
    with torch.no_grad():
        tensors = dict(model.named_parameters()) | dict(model.named_buffers())
        for name, tensor in sorted(tensors.items()):
            if not tensor.is_floating_point():
                continue
            noise = torch.from_numpy(rng.standard_normal(tuple(tensor.shape), np.float32))
            if tensor.ndim == 0:
                tensor.fill_(4.0)
            elif name.endswith("running_var"):
                tensor.copy_(noise.abs() + 0.5)
            elif name.endswith("bias") or name.endswith("running_mean"):
                tensor.copy_(0.2 * noise)
            elif tensor.ndim == 1:
                tensor.copy_(1.0 + 0.25 * noise)
            elif "embedding" in name and "patch" not in name or "group_token" in name:
                tensor.copy_(noise)
            elif "assign." in name:
                tensor.copy_(2.0 * noise / tensor[0].numel() ** 0.5)
            else:
                tensor.copy_(1.2 * noise / tensor[0].numel() ** 0.5)


def make_model(seed):
    folder = ROOT / "groupvit_tiny"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    vocab, _ = vocabulary()
    config = {
        "architectures": ["GroupViTModel"],
        "model_type": "groupvit",
        "projection_dim": 24,
        "projection_intermediate_dim": 48,
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
            "num_hidden_layers": 4,
            "depths": [2, 1, 1],
            "num_group_tokens": [12, 6, 0],
            "num_output_groups": [12, 5, 5],
            "assign_mlp_ratio": [0.5, 2],
            "image_size": SIDE,
            "patch_size": 8,
        },
    }
    write_json(folder / "config.json", config)
    write_tokenizer(folder, whole=False)
    pad_with_the_end(folder)
    write_preprocessor(folder)
    model = GroupViTModel._from_config(
        GroupViTConfig.from_pretrained(folder), attn_implementation="eager"
    ).eval()
    randomise(model, seed)
    save_file(
        {key: tensor.contiguous() for key, tensor in sorted(model.state_dict().items())},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    return folder, model


def run(model, ids, pixels):
    """Outputs of the reference, and what its stages give, told by hooks."""
    outputs = {}

    def keep(name, index):
        return lambda module, inputs, output: outputs.update({name: output[index]})

    stages = model.vision_model.encoder.stages
    hooks = [stage.register_forward_hook(keep(f"stage.{i}", 0)) for i, stage in enumerate(stages)]
    with torch.no_grad():
        found = model(
            input_ids=ids,
            attention_mask=mask_of(ids),
            pixel_values=pixels,
            output_segmentation=True,
        )
    for hook in hooks:
        hook.remove()
    return found, outputs


def of_prompts(model, ids):
    """One vector of length 1 for each prompt: the mean of its texts' (`build_text_embedding`)."""
    with torch.no_grad():
        texts = model.get_text_features(ids, attention_mask=mask_of(ids)).pooler_output
    return texts, normalize(torch.stack([texts[of].mean(0) for of in PROMPTS]), dim=-1)


def segment(model, found, prompts):
    """The authors' rule: scores `[prompts, SIDE, SIDE]`, the classes (0 for background), and the
    threshold that they use in this picture."""
    first, second = found.vision_model_output.attentions
    shares = (first.transpose(1, 2) @ second.transpose(1, 2)).transpose(1, 2)
    grid = int(shares.shape[2] ** 0.5)
    shares = shares.reshape(1, -1, grid, grid)
    shares = interpolate(shares, size=(SIDE, SIDE), mode="bilinear", align_corners=False)[0]
    owner = one_hot(shares.argmax(0), shares.shape[0]).float()
    # Rounding must not move a token or a pixel from one group to another.
    for share in [first[0], second[0], shares]:
        two = share.topk(2, dim=0).values
        gap = float((two[0] - two[1]).min())
        assert gap > 2e-5, f"two groups are as good but for {gap}: take another seed"

    scale = model.logit_scale.exp().clamp(max=100)
    groups = model.visual_projection(found.vision_model_output.last_hidden_state[0])
    affinity = normalize(groups, dim=-1) @ prompts.T * scale
    before = affinity.softmax(-1)
    image = (found.image_embeds[0] @ prompts.T * scale).softmax(-1)
    kept = torch.zeros(len(prompts), dtype=torch.bool)
    kept[image.topk(min(5, len(prompts))).indices] = True
    affinity = affinity.masked_fill(~kept, float("-inf")).softmax(-1) * before

    scores = (owner @ affinity).permute(2, 0, 1)
    threshold = min(BACKGROUND_THRESHOLD, float(affinity.max()))
    best, classes = scores.max(0)
    classes = torch.where(best < threshold, 0, classes + 1)
    return affinity, scores, classes, threshold


def make_goldens(folder, model):
    goldens = folder / "goldens"
    goldens.mkdir()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXTS, padding="max_length", max_length=16, return_tensors="pt").input_ids
    # The checkpoint's processor cuts off what lies beside a square; a segmenter has to see all of
    # a picture, so the picture is stretched.
    stretched = {"size": {"height": SIDE, "width": SIDE}, "do_center_crop": False}
    processor = CLIPImageProcessor.from_pretrained(folder, **stretched)
    texts, prompts = of_prompts(model, ids)
    for name in PICTURES:
        image = Image.open(ROOT / "owl_images" / f"{name}.png")
        image.load()
        pixels = processor(image, return_tensors="pt").pixel_values.float()
        found, outputs = run(model, ids, pixels)
        with torch.no_grad():
            affinity, scores, classes, threshold = segment(model, found, prompts)
        attentions = found.vision_model_output.attentions
        tensors = {
            "pixel_values": pixels,
            "assignment.0": attentions[0],
            "assignment.1": attentions[1],
            "groups": found.vision_model_output.last_hidden_state,
            "image_embeds": found.image_embeds,
            "logits_per_image": found.logits_per_image,
            # Two of the texts, for room.
            "segmentation_logits": found.segmentation_logits[:, :2],
            "group_scores": affinity,
            "scores": scores[:2],
            "classes": classes.to(torch.uint8),
        }
        save(goldens / f"{name}.safetensors", tensors, threshold=threshold)
        areas = np.bincount(classes.flatten().numpy(), minlength=len(PROMPTS) + 1).tolist()
        print(
            f"{name}: groups {attentions[1].shape}, scores to {scores.max():.3f}, threshold"
            f" {threshold:.3f}, logits per image {found.logits_per_image.round(decimals=1).tolist()},"
            f" areas of background and classes {areas}"
        )
    facts = {"texts": TEXTS, "prompts": PROMPTS, "background_threshold": BACKGROUND_THRESHOLD}
    save(goldens / "texts.safetensors", {"input_ids": ids, "text_embeds": texts}, **facts)


def main():
    # One thread: sums are taken in one order, whatever the machine.
    torch.set_num_threads(1)
    make_goldens(*make_model(seed=76))


if __name__ == "__main__":
    main()
