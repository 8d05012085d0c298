"""The prior (section A.2, Tables 1 and 2) in PyTorch."""

import math

from vqv2.lab.bench.peer.framework import torch
from vqv2.lab.bench.peer.layers import MaskedConv2d, conv, conv_transpose, pointwise
from vqv2.models.prior import block_kinds

nn, functional = torch.nn, torch.nn.functional


class Gate(nn.Module):
    """x + dropout(a sigmoid(b)), [a, b] = features + projected condition + class bias."""

    def __init__(self, config, condition_units, classes):
        super().__init__()
        double = 2 * config.hidden_units
        self.condition = pointwise(condition_units, double, bias=False) if condition_units else None
        self.label = nn.Embedding(classes, double) if classes else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x, features, condition, label):
        """x (N, hidden, H, W), features (N, 2 hidden, H, W) -> (N, hidden, H, W)."""
        if self.condition is not None:
            features = features + self.condition(condition)
        if self.label is not None:
            features = features + self.label(label)[:, :, None, None]
        a, b = features.chunk(2, dim=1)
        return x + self.dropout(a * torch.sigmoid(b))


class GatedResidual(nn.Module):
    """conv1x1(ELU(causal(ELU(x)))) into a gate."""

    def __init__(self, config, kernel_size, second_kernel, condition_units, classes):
        super().__init__()
        hidden, residual = config.hidden_units, config.residual_units
        self.first = _causal(hidden, residual, kernel_size)
        self.second = _causal(residual, 2 * hidden, second_kernel)
        self.gate = Gate(config, condition_units, classes)

    def forward(self, x, condition=None, label=None):
        """(N, hidden, H, W) -> the same shape."""
        features = self.second(functional.elu(self.first(functional.elu(x))))
        return self.gate(x, features, condition, label)


def _causal(channels_in, channels_out, kernel_size):
    if kernel_size == 1:
        return pointwise(channels_in, channels_out)
    return MaskedConv2d(channels_in, channels_out, kernel_size, centre=True)


class AttentionBlock(nn.Module):
    """Multi-head attention to strictly earlier positions, merged through a gate."""

    def __init__(self, config, condition_units, classes):
        super().__init__()
        hidden, width = config.hidden_units, config.hidden_units // 2
        self.heads = config.attention_heads
        self.dropout = config.dropout
        self.dropout_on = config.attention_dropout
        self.queries = pointwise(hidden + 2, width)
        self.keys = pointwise(2 * hidden + 2, width)
        self.values = pointwise(2 * hidden + 2, width)
        self.first = pointwise(hidden, config.residual_units)
        self.read = pointwise(width, config.residual_units, bias=False)
        self.second = pointwise(config.residual_units, 2 * hidden)
        self.gate = Gate(config, condition_units, classes)

    def forward(self, x, embedded, condition=None, label=None):
        """x and embedded, both (N, hidden, H, W) -> (N, hidden, H, W)."""
        n, _, height, width = x.shape
        grid = _positions(height, width).to(x).expand(n, -1, -1, -1)
        source = torch.cat([embedded, x, grid], dim=1)
        queries = self._heads(self.queries(torch.cat([x, grid], dim=1)))
        keys, values = self._heads(self.keys(source)), self._heads(self.values(source))
        read = self._attend(queries, keys, values)
        read = read.transpose(2, 3).reshape(n, -1, height, width)
        features = self.first(functional.elu(x)) + self.read(functional.elu(read))
        return self.gate(x, self.second(functional.elu(features)), condition, label)

    def _heads(self, maps):
        """(N, heads * d, H, W) -> (N, heads, H * W, d)."""
        n, channels, height, width = maps.shape
        split = maps.view(n, self.heads, channels // self.heads, height * width)
        return split.transpose(2, 3)

    def _attend(self, queries, keys, values):
        length = queries.shape[2]
        logits = queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[3])
        if self.dropout_on == "logits":
            logits = functional.dropout(logits, self.dropout, self.training)
        allowed = torch.ones(length, length, dtype=torch.bool, device=logits.device).tril(-1)
        weights = logits.masked_fill(~allowed, -1e4).softmax(dim=-1)
        if self.dropout_on == "weights":
            weights = functional.dropout(weights, self.dropout, self.training)
        started = torch.ones(length, 1, device=values.device)
        started[0] = 0  # the first position attends to nothing
        return weights @ values * started


def _positions(height, width):
    """((i - H/2) / H, (j - W/2) / W): (2, H, W)."""
    rows = (torch.arange(height) - height / 2) / height
    columns = (torch.arange(width) - width / 2) / width
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))


class OutputStack(nn.Module):
    """Gated 1x1 blocks, ELU, 1x1 to the logits."""

    def __init__(self, config, codes, condition_units, classes):
        super().__init__()
        self.blocks = nn.ModuleList(
            GatedResidual(config, 1, 1, condition_units, classes)
            for _ in range(config.output_stack_layers)
        )
        self.logits = pointwise(config.hidden_units, codes)

    def forward(self, x, condition=None, label=None):
        """(N, hidden, H, W) -> (N, K, H, W)."""
        for block in self.blocks:
            x = block(x, condition, label)
        return self.logits(functional.elu(x))


class ConditioningBlock(nn.Module):
    """x + conv1x1(ReLU(conv3x3(ReLU(conv1x1(ReLU(BatchNorm(x)))))))."""

    def __init__(self, channels, inner):
        super().__init__()
        self.normalization = nn.BatchNorm2d(channels, momentum=0.01)
        self.first = pointwise(channels, inner)
        self.spatial = conv(inner, inner, 3)
        self.last = pointwise(inner, channels)

    def forward(self, x):
        """(N, channels, H, W) -> the same shape."""
        h = self.first(functional.relu(self.normalization(x)))
        h = self.spatial(functional.relu(h))
        return x + self.last(functional.relu(h))


class ConditioningStack(nn.Module):
    """The pseudo-code's U of three resolutions."""

    def __init__(self, channels_in, channels, blocks):
        super().__init__()
        double, inner = 2 * channels, channels // 4

        def row(width, inside, count):
            return nn.Sequential(*[ConditioningBlock(width, inside) for _ in range(count)])

        self.enter = pointwise(channels_in, channels)
        self.down_full = row(channels, inner, blocks // 2)
        self.to_half = nn.Conv2d(channels, double, 1, stride=2)
        self.down_half = row(double, 2 * inner, blocks // 2)
        self.to_quarter = nn.Conv2d(double, double, 1, stride=2)
        self.quarter = row(double, 2 * inner, blocks)
        self.from_quarter = conv_transpose(double, double, 2)
        self.up_half = row(double, 2 * inner, blocks // 2)
        self.from_half = conv_transpose(double, channels, 2)
        self.up_full = row(channels, inner, blocks // 2)

    def forward(self, x):
        """(N, channels_in, H, W) -> (N, channels, H, W)."""
        full = self.down_full(self.enter(x))
        half = self.down_half(self.to_half(full))
        quarter = self.quarter(self.to_quarter(half))
        half = self.up_half(half + self.from_quarter(quarter))
        return self.up_full(full + self.from_half(half))


class Conditioning(nn.Module):
    """Coarser codes, embedded, upsampled, joined, through the stack."""

    def __init__(self, config, size, coarser):
        super().__init__()
        hidden = config.hidden_units
        self.embeddings = nn.ModuleList(nn.Embedding(count, hidden) for count, _ in coarser)
        self.size = size
        self.stack = ConditioningStack(
            len(coarser) * hidden, config.conditioning_units, config.conditioning_blocks
        )

    def forward(self, coarser):
        """[(N, h, w), ...] -> (N, conditioning_units, H, W)."""
        maps = [
            functional.interpolate(embedding(codes).permute(0, 3, 1, 2), size=self.size)
            for embedding, codes in zip(self.embeddings, coarser, strict=True)
        ]
        return self.stack(torch.cat(maps, dim=1))


class Prior(nn.Module):
    """p(codes | class, coarser codes)."""

    def __init__(self, config, codes, size, coarser=(), classes=0):
        super().__init__()
        hidden = config.hidden_units
        units = config.conditioning_units if coarser else 0
        self.conditioning = Conditioning(config, size, coarser) if coarser else None
        self.embedding = nn.Embedding(codes, hidden)
        self.first = MaskedConv2d(hidden, hidden, config.filter_size, centre=False)
        self.blocks = nn.ModuleList(
            AttentionBlock(config, units, classes)
            if kind == "attention"
            else GatedResidual(config, config.filter_size, config.second_kernel, units, classes)
            for kind in block_kinds(config)
        )
        inside = config.condition_output_stack
        self.output = OutputStack(config, codes, units if inside else 0, classes if inside else 0)

    def forward(self, codes, label=None, coarser=()):
        """Codes (N, H, W) -> logits (N, K, H, W)."""
        condition = self.conditioning(coarser) if self.conditioning is not None else None
        embedded = self.embedding(codes).permute(0, 3, 1, 2)
        x = self.first(embedded)
        for block in self.blocks:
            if isinstance(block, AttentionBlock):
                x = block(x, embedded, condition, label)
            else:
                x = block(x, condition, label)
        return self.output(x, condition, label)

    def loss(self, codes, label=None, coarser=()):
        """Mean cross-entropy, nats per code."""
        return functional.cross_entropy(self(codes, label, coarser), codes)
