#!/usr/bin/env python3
"""Turns MobileSAM's released `mobile_sam.pt` into a folder that Owlet loads.

    pip install torch safetensors
    python tools/convert_mobile_sam.py mobile_sam.pt models/mobile-sam
    owlet segment kitchen.jpg --model models/mobile-sam --box 120,80,300,260 --out out

The file is a pickle, which can run code when it is opened. It is read with `weights_only=True`
here, which takes tensors and refuses everything else; Owlet itself never reads one.

What is changed: prompt encoder and mask decoder get the names that `transformers` gives SAM's; each
batch norm is folded into the convolution before it (in f64); the classifier that TinyViT was
trained with is left out. All sizes are read from the tensors. A name that is not known is an error:
the file is then of another network.
"""

import argparse
import json
import math
import re
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

# Names of SAM's authors, and those of `transformers`.
DECODER_NAMES = [
    (r"^mask_decoder\.output_upscaling\.0\.", "mask_decoder.upscale_conv1."),
    (r"^mask_decoder\.output_upscaling\.1\.", "mask_decoder.upscale_layer_norm."),
    (r"^mask_decoder\.output_upscaling\.3\.", "mask_decoder.upscale_conv2."),
    (r"^(mask_decoder\.transformer\..*)norm(\d|_final_attn)\.", r"\1layer_norm\2."),
    (r"^prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
    (r"^prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
    (r"^prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
    (r"^prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
    (r"^prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
    (r"^prompt_encoder\.point_embeddings\.", "prompt_encoder.point_embed."),
    (
        r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$",
        "shared_image_embedding.positional_embedding",
    ),
]

# The same for the image encoder, batch norms aside.
ENCODER_NAMES = [
    (r"^image_encoder\.patch_embed\.seq\.0\.", "vision_encoder.patch_embed.conv1."),
    (r"^image_encoder\.patch_embed\.seq\.2\.", "vision_encoder.patch_embed.conv2."),
    (r"^image_encoder\.layers\.", "vision_encoder.stages."),
    (r"\.(attn|mlp)\.norm\.", r".\1.layer_norm."),
    (r"^image_encoder\.neck\.0\.", "vision_encoder.neck.conv1."),
    (r"^image_encoder\.neck\.1\.", "vision_encoder.neck.layer_norm1."),
    (r"^image_encoder\.neck\.2\.", "vision_encoder.neck.conv2."),
    (r"^image_encoder\.neck\.3\.", "vision_encoder.neck.layer_norm2."),
]

# The classifier, and what follows from the sizes.
LEFT_OUT = re.compile(
    r"^image_encoder\.(norm_head|head)\.|\.num_batches_tracked$|\.attention_bias_idxs$"
)

BATCH_NORM_EPS = 1e-5


def renamed(name, rules):
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def renamed_layers(name, count):
    """`layers.0`, …, of the perceptrons of the decoder to `proj_in`, `layers.0`, …, `proj_out`."""
    match = re.match(
        r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head)\.)"
        r"layers\.(\d+)\.(.*)$",
        name,
    )
    if not match:
        return name
    head, index, rest = match[1], int(match[2]), match[3]
    last = count(head) - 1
    place = {0: "proj_in", last: "proj_out"}.get(index, f"layers.{index - 1}")
    return f"{head}{place}.{rest}"


def folded(state, name):
    """Weight and bias of a convolution and the batch norm behind it."""
    weight = state[f"{name}.c.weight"].double()
    norm = {key: state[f"{name}.bn.{key}"].double() for key in ["weight", "bias"]}
    mean, var = (state[f"{name}.bn.running_{key}"].double() for key in ["mean", "var"])
    scale = norm["weight"] / (var + BATCH_NORM_EPS).sqrt()
    return (weight * scale[:, None, None, None]).float(), (norm["bias"] - mean * scale).float()


def convert(state, image_size):
    """Tensors and `config.json` for a state of the authors' names."""
    tensors = {}
    depth = {}
    for name in state:
        match = re.match(r"^(mask_decoder\..*\.)layers\.(\d+)\.weight$", name)
        if match:
            depth[match[1]] = max(depth.get(match[1], 0), int(match[2]) + 1)
    for name, tensor in state.items():
        if LEFT_OUT.search(name):
            continue
        if not name.startswith("image_encoder."):
            new = renamed_layers(renamed(name, DECODER_NAMES), lambda head: depth[head])
            known = ("mask_decoder.", "prompt_encoder.", "shared_image_embedding.")
            if not new.startswith(known):
                sys.exit(f"{name}: not a name of MobileSAM")
            tensors[new] = tensor.float()
        elif name.endswith(".c.weight"):
            at = name.removesuffix(".c.weight")
            new = renamed(f"{at}.", ENCODER_NAMES)
            tensors[f"{new}weight"], tensors[f"{new}bias"] = folded(state, at)
        elif ".bn." not in name:
            new = renamed(name, ENCODER_NAMES)
            if not new.startswith("vision_encoder."):
                sys.exit(f"{name}: not a name of MobileSAM")
            tensors[new] = tensor.float()
    return tensors, configuration(tensors, image_size)


def configuration(tensors, image_size):
    """`config.json`, by the shapes of the tensors."""

    def shape(name):
        if name not in tensors:
            sys.exit(f"{name}: missing, so this is not MobileSAM")
        return tuple(tensors[name].shape)

    def count(pattern):
        found = [re.match(pattern, name) for name in tensors]
        return 1 + max(int(match[1]) for match in found if match)

    encoder, decoder = "vision_encoder", "mask_decoder"
    sizes = [shape(f"{encoder}.stages.0.blocks.0.conv1.weight")[1]]
    heads, windows = [], []
    for stage in [1, 2, 3]:
        number, area = shape(f"{encoder}.stages.{stage}.blocks.0.attn.attention_biases")
        sizes.append(shape(f"{encoder}.stages.{stage}.blocks.0.attn.proj.weight")[0])
        heads.append(number)
        windows.append(math.isqrt(area))
    size = shape(f"{encoder}.neck.conv1.weight")[0]
    masks, hidden = shape(f"{decoder}.mask_tokens.weight")
    inner = shape(f"{decoder}.transformer.final_attn_token_to_image.q_proj.weight")[0]
    mlp, _ = shape(f"{decoder}.transformer.layers.0.mlp.lin1.weight")
    block = f"{encoder}.stages.1.blocks.0"
    return {
        "architectures": ["SamModel"],
        "model_type": "sam",
        "vision_config": {
            "model_type": "tiny_vit",
            "image_size": image_size,
            "embed_dims": sizes,
            "depths": [count(rf"^{encoder}\.stages\.{i}\.blocks\.(\d+)\.") for i in range(4)],
            # Those of the first stage, which has no attention, are not used.
            "num_heads": [heads[0], *heads],
            "window_sizes": [windows[0], *windows],
            "mlp_ratio": shape(f"{block}.mlp.fc1.weight")[0] / sizes[1],
            "mbconv_expand_ratio": shape(f"{encoder}.stages.0.blocks.0.conv1.weight")[0] / sizes[0],
            "local_conv_size": shape(f"{block}.local_conv.weight")[2],
            "output_channels": size,
            "num_pos_feats": shape("shared_image_embedding.positional_embedding")[1],
        },
        "prompt_encoder_config": {
            "hidden_size": hidden,
            "image_size": image_size,
            "patch_size": 16,
            "mask_input_channels": shape("prompt_encoder.mask_embed.conv2.weight")[0],
        },
        "mask_decoder_config": {
            "hidden_size": hidden,
            "mlp_dim": mlp,
            "num_hidden_layers": count(rf"^{decoder}\.transformer\.layers\.(\d+)\."),
            # Told by no shape; 8 in every SAM that was released.
            "num_attention_heads": 8,
            "attention_downsample_rate": hidden // inner,
            "num_multimask_outputs": masks - 1,
            "iou_head_depth": 2 + inner_layers(tensors),
            "iou_head_hidden_dim": shape(f"{decoder}.iou_prediction_head.proj_in.weight")[0],
            # The authors leave torch's default; `transformers` would say 1e-6.
            "layer_norm_eps": 1e-5,
        },
    }


def inner_layers(tensors):
    """Layers of the IoU head between its first and its last one."""
    pattern = r"^mask_decoder\.iou_prediction_head\.layers\.(\d+)\."
    found = [re.match(pattern, name) for name in tensors]
    return len({match[1] for match in found if match})


def preprocessor(image_size):
    return {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "SamImageProcessor",
        "image_std": [0.229, 0.224, 0.225],
        "pad_size": {"height": image_size, "width": image_size},
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"longest_edge": image_size},
    }


def write(folder, tensors, config, dtype=torch.float32):
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.to(dtype).contiguous() for name, tensor in sorted(tensors.items())}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    for name, value in {
        "config.json": config,
        "preprocessor_config.json": preprocessor(config["vision_config"]["image_size"]),
    }.items():
        (folder / name).write_text(json.dumps(value, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", type=Path, help="mobile_sam.pt, as its authors released it")
    parser.add_argument("folder", type=Path, help="where to write; made where it is missing")
    parser.add_argument("--image-size", type=int, default=1024)
    args = parser.parse_args()
    state = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
    tensors, config = convert(state, args.image_size)
    write(args.folder, tensors, config)
    count = sum(tensor.numel() for tensor in tensors.values())
    print(f"{args.folder}: {count / 1e6:.1f} M parameters")


if __name__ == "__main__":
    main()
