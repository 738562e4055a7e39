"""MobileSAM's image encoder in plain torch, with the names of the authors' checkpoint.

Written down from the papers (TinyViT, arXiv:2207.10666; MobileSAM, arXiv:2306.14289) and the names
in `mobile_sam.pt`, for golden values only. `hold_against_timm` compares its blocks with timm's.

Where MobileSAM differs from TinyViT: the last of the three merges does not halve the image, and a
neck as SAM's stands in the place of the classifier, which is still in the checkpoint.
"""

import itertools

import torch
from torch import nn
from torch.nn import functional as F


class Conv2dBn(nn.Sequential):
    def __init__(self, inputs, outputs, side=1, stride=1, padding=0, groups=1):
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, side, stride, padding, groups=groups, bias=False)
        self.add_module("c", conv)
        self.add_module("bn", nn.BatchNorm2d(outputs))


class PatchEmbed(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.seq = nn.Sequential(
            Conv2dBn(3, size // 2, 3, 2, 1), nn.GELU(), Conv2dBn(size // 2, size, 3, 2, 1)
        )

    def forward(self, x):
        return self.seq(x)


class MbConv(nn.Module):
    def __init__(self, size, ratio):
        super().__init__()
        inside = int(size * ratio)
        self.conv1 = Conv2dBn(size, inside)
        self.conv2 = Conv2dBn(inside, inside, 3, 1, 1, inside)
        self.conv3 = Conv2dBn(inside, size)

    def forward(self, x):
        inside = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(self.conv3(inside) + x)


class PatchMerging(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = Conv2dBn(inputs, outputs)
        self.conv2 = Conv2dBn(outputs, outputs, 3, stride, 1, outputs)
        self.conv3 = Conv2dBn(outputs, outputs)

    def forward(self, x):
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))


class Attention(nn.Module):
    def __init__(self, size, heads, window):
        super().__init__()
        self.heads = heads
        self.scale = (size // heads) ** -0.5
        self.norm = nn.LayerNorm(size)
        self.qkv = nn.Linear(size, 3 * size)
        self.proj = nn.Linear(size, size)
        places = list(itertools.product(range(window), range(window)))
        offsets, index = {}, []
        for a, b in itertools.product(places, places):
            offset = (abs(a[0] - b[0]), abs(a[1] - b[1]))
            index.append(offsets.setdefault(offset, len(offsets)))
        self.attention_biases = nn.Parameter(torch.zeros(heads, len(offsets)))
        index = torch.tensor(index).view(len(places), len(places))
        self.register_buffer("attention_bias_idxs", index, persistent=False)

    def forward(self, x):
        batch, places, size = x.shape
        qkv = self.qkv(self.norm(x)).view(batch, places, self.heads, -1)
        q, k, v = (part.transpose(1, 2) for part in qkv.split(size // self.heads, dim=3))
        scores = q @ k.transpose(-2, -1) * self.scale
        scores = scores + self.attention_biases[:, self.attention_bias_idxs]
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, places, size))


class Mlp(nn.Module):
    def __init__(self, size, ratio):
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.fc1 = nn.Linear(size, int(size * ratio))
        self.fc2 = nn.Linear(int(size * ratio), size)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


class Block(nn.Module):
    def __init__(self, size, heads, window, mlp_ratio, local_conv):
        super().__init__()
        self.window = window
        self.attn = Attention(size, heads, window)
        self.mlp = Mlp(size, mlp_ratio)
        self.local_conv = Conv2dBn(size, size, local_conv, 1, local_conv // 2, size)

    def forward(self, x):
        """`[batch, H, W, size]`."""
        batch, height, width, size = x.shape
        side = self.window
        below, right = -height % side, -width % side
        padded = F.pad(x, (0, 0, 0, right, 0, below))
        rows, columns = (height + below) // side, (width + right) // side
        windows = padded.view(batch, rows, side, columns, side, size).transpose(2, 3)
        seen = self.attn(windows.reshape(-1, side * side, size))
        seen = seen.view(batch, rows, columns, side, side, size).transpose(2, 3)
        seen = seen.reshape(batch, rows * side, columns * side, size)[:, :height, :width]
        x = x + seen
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.mlp(x)


class Stage(nn.Module):
    def __init__(self, blocks, downsample):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        if downsample is not None:
            self.downsample = downsample


class LayerNorm2d(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x):
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return x.permute(0, 3, 1, 2)


class TinyViT(nn.Module):
    def __init__(
        self, sizes, depths, heads, windows, outputs, mlp_ratio=4.0, expand_ratio=4.0, local_conv=3
    ):
        super().__init__()
        self.patch_embed = PatchEmbed(sizes[0])
        self.layers = nn.ModuleList()
        for i, size in enumerate(sizes):
            if i == 0:
                blocks = [MbConv(size, expand_ratio) for _ in range(depths[i])]
            else:
                blocks = [
                    Block(size, heads[i], windows[i], mlp_ratio, local_conv)
                    for _ in range(depths[i])
                ]
            stride = 1 if i == 2 else 2
            merge = PatchMerging(size, sizes[i + 1], stride) if i < 3 else None
            self.layers.append(Stage(blocks, merge))
        # The classifier of TinyViT, which MobileSAM does not use.
        self.norm_head = nn.LayerNorm(sizes[-1])
        self.head = nn.Linear(sizes[-1], 10)
        self.neck = nn.Sequential(
            nn.Conv2d(sizes[-1], outputs, 1, bias=False),
            LayerNorm2d(outputs),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            LayerNorm2d(outputs),
        )

    def forward(self, x):
        """`[batch, 3, H, W]` to `[batch, outputs, H / 16, W / 16]`."""
        x = self.patch_embed(x)
        for i, stage in enumerate(self.layers):
            if i > 0:
                x = x.permute(0, 2, 3, 1)
            for block in stage.blocks:
                x = block(x)
            if i > 0:
                x = x.permute(0, 3, 1, 2)
            if hasattr(stage, "downsample"):
                x = stage.downsample(x)
        return self.neck(x)


def hold_against_timm():
    """Blocks with the same weights give the same as timm's, where timm is installed."""
    try:
        from timm.models import tiny_vit as timm
    except ImportError:
        print("timm is not installed: the blocks are not compared with it")
        return
    torch.manual_seed(0)

    def take_over(ours, theirs, rename):
        state = {rename(key): value for key, value in ours.state_dict().items()}
        theirs.load_state_dict(state)
        return ours.eval(), theirs.eval()

    def spread(module):
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.3)
        for name, buffer in module.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
            elif name.endswith("running_mean"):
                buffer.normal_(std=0.3)
        return module

    def plain(key):
        return key.replace(".c.", ".conv.")

    x = torch.randn(2, 24, 11, 9)
    pairs = [
        (MbConv(24, 4.0), timm.MBConv(24, 24, 4.0, nn.GELU, 0.0), x),
        (PatchMerging(24, 40, 2), timm.PatchMerging(24, 40, nn.GELU), x),
        (
            Block(24, 3, 4, 4.0, 3),
            timm.TinyVitBlock(24, 3, window_size=4, mlp_ratio=4.0),
            x.permute(0, 2, 3, 1),
        ),
    ]
    for ours, theirs, given in pairs:
        ours, theirs = take_over(spread(ours), theirs, plain)
        with torch.no_grad():
            off = (ours(given) - theirs(given)).abs().max()
        assert off < 1e-4, f"{type(ours).__name__} is not timm's: off by {off}"


if __name__ == "__main__":
    hold_against_timm()
    print("the blocks are timm's")
