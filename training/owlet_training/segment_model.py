"""The segmenter: SAM as in transformers, small, and started so that it learns from nothing; its
losses."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import SamConfig, SamModel

from .model import waves
from .segment_augment import Batch, Prompts

SIDE_PX, PATCH_PX = 320, 8
IMAGE_WIDTH, IMAGE_LAYERS, IMAGE_HEADS = 160, 6, 5
WINDOW, GLOBAL_LAYERS = 8, [2, 5]
DECODER_WIDTH = 128


def make() -> SamModel:
    """A network with weights to start from, drawn from torch's generator."""
    config = SamConfig(
        vision_config={
            "hidden_size": IMAGE_WIDTH,
            "num_hidden_layers": IMAGE_LAYERS,
            "num_attention_heads": IMAGE_HEADS,
            "output_channels": DECODER_WIDTH,
            "num_pos_feats": DECODER_WIDTH // 2,
            "image_size": SIDE_PX,
            "patch_size": PATCH_PX,
            "window_size": WINDOW,
            "global_attn_indexes": GLOBAL_LAYERS,
            # A table of relative positions costs as much time as the attention itself on a CPU.
            "use_rel_pos": False,
            "initializer_range": 0.02,
        },
        prompt_encoder_config={"hidden_size": DECODER_WIDTH, "image_size": SIDE_PX, "patch_size": PATCH_PX},
        mask_decoder_config={
            "hidden_size": DECODER_WIDTH,
            "mlp_dim": 4 * DECODER_WIDTH,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": DECODER_WIDTH,
        },
    )
    model = SamModel(config)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.3)
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            fan_in = module.in_channels * (module.kernel_size[0] ** 2 if isinstance(module, nn.Conv2d) else 1)
            nn.init.normal_(module.weight, std=fan_in**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    with torch.no_grad():
        grid = SIDE_PX // PATCH_PX
        model.vision_encoder.pos_embed.copy_(0.5 * waves(grid, IMAGE_WIDTH).view(1, grid, grid, -1))
        # Places from a third of the canvas to a few pixels; in SAM they are not learnt, either.
        places = model.shared_image_embedding.positional_embedding
        places.copy_(torch.randn(places.shape) * torch.logspace(-0.5, 0.9, places.shape[1]))
        places.requires_grad_(False)
        # Masks that are sure of nothing at first.
        for head in model.mask_decoder.output_hypernetworks_mlps:
            head.proj_out.weight.mul_(0.05)
        # Nothing teaches prompts that are masks: they are taken for no mask.
        nn.init.zeros_(model.prompt_encoder.no_mask_embed.weight)
        nn.init.zeros_(model.prompt_encoder.mask_embed.conv3.weight)
        nn.init.zeros_(model.prompt_encoder.mask_embed.conv3.bias)
        model.prompt_encoder.no_mask_embed.requires_grad_(False)
        model.prompt_encoder.mask_embed.requires_grad_(False)
    return model


def whiten_patches(model: SamModel, pixel_values: torch.Tensor) -> None:
    """Starts the patch embedding with the principal components of real patches, each of the same
    strength. `pixel_values`: f32 `[batch, 3, side, side]`, normalised."""
    patches = F.unfold(pixel_values, PATCH_PX, stride=PATCH_PX).transpose(1, 2).flatten(0, 1)
    values, vectors = torch.linalg.eigh((patches.T @ patches / len(patches)).cpu())
    values, vectors = values[-IMAGE_WIDTH:], vectors[:, -IMAGE_WIDTH:]
    filters = vectors / (values + 1e-3 * values.max()).sqrt()
    with torch.no_grad():
        weight = model.vision_encoder.patch_embed.projection.weight
        weight.copy_(0.6 * filters.T.reshape(weight.shape))


def draw(
    model: SamModel, pixel_values: torch.Tensor, prompts: Prompts, several: bool, mixed: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits f32 `[batch, objects, masks, side / 2, side / 2]` and what the network thinks of their
    IoU, `[batch, objects, masks]`. `mixed`: in bf16 where that loses nothing; places need more."""
    with torch.autocast(pixel_values.device.type, torch.bfloat16, enabled=mixed):
        embeddings = model.vision_encoder(pixel_values).last_hidden_state
    sparse, dense = model.prompt_encoder(prompts.points, prompts.labels, prompts.boxes, None)
    places = model.get_image_wide_positional_embeddings().expand(len(pixel_values), -1, -1, -1)
    with torch.autocast(pixel_values.device.type, torch.bfloat16, enabled=mixed):
        masks, iou = model.mask_decoder(
            image_embeddings=embeddings,
            image_positional_embeddings=places,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
        )
    return masks.float(), iou.float()


FOCAL_WEIGHT, DICE_WEIGHT, IOU_WEIGHT = 2.0, 1.0, 0.5


def losses(logits: torch.Tensor, iou: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
    """Focal and dice loss of each object's best mask, at the size of the canvas, and the error of
    the IoU of all of them, each a mean over objects. As in SAM (Kirillov et al. 2023), but the focal
    loss counts an object's pixels against its own size: else the small ones would not count."""
    valid = batch.valid
    truth = batch.masks.float()
    with torch.no_grad():
        # Which mask is best is settled at the masks' own size.
        small = F.avg_pool2d(truth, 2)[:, :, None]
        p = logits.sigmoid()
        overlap = (p * small).sum((-1, -2))
        dice = 1 - (2 * overlap + 1) / (p.sum((-1, -2)) + small.sum((-1, -2)) + 1)
        best = dice.argmin(-1)
        drawn, there = logits > 0, small > 0.5
        union = (drawn | there).sum((-1, -2))
        true_iou = (drawn & there).sum((-1, -2)) / union.clamp(min=1)
    chosen = logits.take_along_dim(best[..., None, None, None], dim=2)[:, :, 0]
    chosen = F.interpolate(chosen, scale_factor=2, mode="bilinear", align_corners=False)
    bce = F.binary_cross_entropy_with_logits(chosen, truth, reduction="none")
    p = chosen.sigmoid()
    focal = ((p - truth).square() * bce).sum((-1, -2)) / (truth.sum((-1, -2)) + 50)
    dice = 1 - (2 * (p * truth).sum((-1, -2)) + 1) / (p.sum((-1, -2)) + truth.sum((-1, -2)) + 1)
    off = (iou - true_iou).square().mean(-1)
    count = valid.sum().clamp(min=1)
    parts = {"focal": focal, "dice": dice, "iou": off}
    parts = {name: (value * valid).sum() / count for name, value in parts.items()}
    parts["loss"] = FOCAL_WEIGHT * parts["focal"] + DICE_WEIGHT * parts["dice"] + IOU_WEIGHT * parts["iou"]
    return parts


def parameter_groups(model: SamModel) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """Matrices between layers (for Muon), other weights, and those that are not to decay."""
    matrices, others, undecayed = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim < 2 or "embed" in name.replace("patch_embed", "") or "token.weight" in name or "tokens" in name:
            undecayed.append(parameter)
        elif parameter.ndim == 2 and min(parameter.shape) >= 16:
            matrices.append(parameter)
        else:
            others.append(parameter)
    return matrices, others, undecayed
