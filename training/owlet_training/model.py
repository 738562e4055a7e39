"""The network: OWL-ViT as in transformers, small, and started so that it learns from nothing."""

import math
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import OwlViTConfig, OwlViTForObjectDetection

from . import tokenizer

PATCH_PX = 16
IMAGE_WIDTH, IMAGE_LAYERS, IMAGE_HEADS = 192, 6, 3
TEXT_WIDTH, TEXT_LAYERS, TEXT_HEADS = 128, 3, 4

# The class head says no to everything at first: (cosine - 0.5) * 8.
FIRST_LOGIT_SCALE, FIRST_LOGIT_SHIFT = 8.0, -0.5


def make(vocabulary: int, side_px: int) -> OwlViTForObjectDetection:
    """A network for pictures of `side_px` with weights to start from, drawn from torch's generator."""
    ends = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": 0}
    config = OwlViTConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": TEXT_WIDTH,
            "intermediate_size": 4 * TEXT_WIDTH,
            "num_hidden_layers": TEXT_LAYERS,
            "num_attention_heads": TEXT_HEADS,
            "max_position_embeddings": tokenizer.MAX_TOKENS,
            "hidden_act": "quick_gelu",
            **ends,
        },
        vision_config={
            "image_size": side_px,
            "patch_size": PATCH_PX,
            "hidden_size": IMAGE_WIDTH,
            "intermediate_size": 4 * IMAGE_WIDTH,
            "num_hidden_layers": IMAGE_LAYERS,
            "num_attention_heads": IMAGE_HEADS,
            "hidden_act": "gelu",
        },
        projection_dim=TEXT_WIDTH,
    )
    model = OwlViTForObjectDetection(config)
    # On a CPU plain matrix products are a third faster than the fused attention and its gradient.
    model.set_attn_implementation("eager")
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    vision, text = model.owlvit.vision_model.embeddings, model.owlvit.text_model.embeddings
    nn.init.normal_(vision.patch_embedding.weight, std=(3 * PATCH_PX**2) ** -0.5)
    nn.init.normal_(vision.class_embedding, std=0.02)
    nn.init.normal_(text.token_embedding.weight, std=0.2)
    nn.init.normal_(text.position_embedding.weight, std=0.05)
    with torch.no_grad():
        vision.position_embedding.weight[0] = 0
        vision.position_embedding.weight[1:] = 0.5 * waves(side_px // PATCH_PX, IMAGE_WIDTH)
    for tower in (model.owlvit.vision_model, model.owlvit.text_model):
        for layer in tower.encoder.layers:
            _start_attention(layer.self_attn)
    # A patch's feature is multiplied with the class token's, channel by channel. About one both,
    # so that at first the patch passes as it is.
    nn.init.ones_(model.owlvit.vision_model.post_layernorm.bias)
    # The box bias starts every box at its patch.
    nn.init.zeros_(model.box_head.dense2.weight)
    nn.init.zeros_(model.class_head.logit_scale.weight)
    nn.init.constant_(model.class_head.logit_scale.bias, FIRST_LOGIT_SCALE - 1)
    nn.init.zeros_(model.class_head.logit_shift.weight)
    nn.init.constant_(model.class_head.logit_shift.bias, FIRST_LOGIT_SHIFT)
    return model


def take_weights(model: OwlViTForObjectDetection, checkpoint: Path) -> None:
    """Starts from a checkpoint in Hugging Face layout, whose pictures may have another size: its
    positions are then interpolated."""
    weights = {name: tensor.float() for name, tensor in load_file(checkpoint / "model.safetensors").items()}
    name = "owlvit.vision_model.embeddings.position_embedding.weight"
    of_class, of_patches = weights[name][:1], weights[name][1:]
    had, wanted = math.isqrt(len(of_patches)), grid(model)
    square = of_patches.T.reshape(1, -1, had, had)
    square = nn.functional.interpolate(square, size=(wanted, wanted), mode="bicubic", align_corners=False)
    weights[name] = torch.cat([of_class, square[0].flatten(1).T])
    model.load_state_dict(weights)


def side_px(model: OwlViTForObjectDetection) -> int:
    """Pixels that the network's pictures are wide and high."""
    return model.config.vision_config.image_size


def grid(model: OwlViTForObjectDetection) -> int:
    """Patches in a row."""
    return side_px(model) // PATCH_PX


def _start_attention(attention: nn.Module) -> None:
    """Starts a layer as trained ones look: every token attends to what is like it, positions
    included, and its value is taken away again (Trockman & Kolter 2023, arXiv:2305.09828)."""
    width, heads = attention.embed_dim, attention.num_heads
    size = width // heads
    near_one = torch.eye(width)

    def split(matrix: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
        u, s, v = torch.linalg.svd(matrix)
        root = s[:rank].sqrt()
        return (u[:, :rank] * root).T, (v[:rank].T * root).T

    with torch.no_grad():
        for head in range(heads):
            rows = slice(head * size, (head + 1) * size)
            noise = torch.randn(width, width) / width**0.5
            attention.q_proj.weight[rows], attention.k_proj.weight[rows] = split(0.7 * noise + 0.7 * near_one, size)
        noise = torch.randn(width, width) / width**0.5
        value, out = split(0.4 * noise - 0.4 * near_one, width)
        attention.v_proj.weight.copy_(value)
        attention.out_proj.weight.copy_(out.T)


def whiten_patches(model: OwlViTForObjectDetection, pixel_values: torch.Tensor) -> None:
    """Starts the patch embedding with the principal components of real patches, each of the same
    strength, so that no time is lost on finding edges and colours. `pixel_values`: f32
    `[batch, 3, side, side]`, normalised."""
    patches = nn.functional.unfold(pixel_values, PATCH_PX, stride=PATCH_PX).transpose(1, 2).flatten(0, 1)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    values, vectors = values[-IMAGE_WIDTH:], vectors[:, -IMAGE_WIDTH:]
    filters = vectors / (values + 1e-3 * values.max()).sqrt()
    with torch.no_grad():
        weight = model.owlvit.vision_model.embeddings.patch_embedding.weight
        weight.copy_(0.6 * filters.T.reshape(weight.shape))


def waves(grid: int, width: int) -> torch.Tensor:
    """Sines and cosines of row and column: positions that need not be learnt first."""
    frequency = math.pi * torch.logspace(-1, math.log10(grid / 2), width // 4) / grid * 2
    at = torch.arange(grid)[:, None] * frequency
    one = torch.cat([at.sin(), at.cos()], dim=1)
    rows = one[:, None].expand(grid, grid, -1)
    columns = one[None].expand(grid, grid, -1)
    return torch.cat([rows, columns], dim=2).reshape(grid * grid, width)


def embed_texts(model: OwlViTForObjectDetection, ids: torch.Tensor) -> torch.Tensor:
    """Queries `[texts, TEXT_WIDTH]` of length 1, from ids `[texts, tokens]`."""
    pooled = model.owlvit.text_model(input_ids=ids).pooler_output
    queries = model.owlvit.text_projection(pooled)
    return queries / queries.norm(dim=-1, keepdim=True)


def look(model: OwlViTForObjectDetection, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Features `[batch, patches, IMAGE_WIDTH]` and boxes `[batch, patches, 4]` (centre and size,
    in [0, 1])."""
    grid_features, _ = model.image_embedder(pixel_values=pixel_values)
    features = grid_features.flatten(1, 2)
    return features, model.box_predictor(features, grid_features)


def similarity(model: OwlViTForObjectDetection, features: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
    """Cosine of every patch with queries that all pictures share: `[batch, patches, queries]`, as
    one matrix product."""
    embeddings = model.class_head.dense0(features)
    embeddings = embeddings / (embeddings.norm(dim=-1, keepdim=True) + 1e-6)
    return embeddings @ queries.T


def class_logits(model: OwlViTForObjectDetection, features: torch.Tensor, cosine: torch.Tensor) -> torch.Tensor:
    """What OWL-ViT's class head makes of cosines: each patch shifts and scales its own."""
    head = model.class_head
    return (cosine + head.logit_shift(features)) * (head.elu(head.logit_scale(features)) + 1)
