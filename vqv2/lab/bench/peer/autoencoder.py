"""The hierarchical autoencoder (Algorithm 1, Table 3) in PyTorch."""

import math

from vqv2.lab.bench.peer.framework import torch
from vqv2.lab.bench.peer.layers import conv, conv_transpose, pointwise

nn, functional = torch.nn, torch.nn.functional


class ResidualBlock(nn.Module):
    """x + conv1x1(ReLU(conv3x3(ReLU(x))))."""

    def __init__(self, config):
        super().__init__()
        size = config.encoder_filter_size
        self.spatial = conv(config.hidden_units, config.residual_units, size)
        self.pointwise = pointwise(config.residual_units, config.hidden_units)

    def forward(self, x):
        """(N, C, H, W) -> the same shape."""
        h = self.spatial(functional.relu(x))
        return x + self.pointwise(functional.relu(h))


class ResidualStack(nn.Module):
    """Residual blocks, then ReLU."""

    def __init__(self, config):
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(config) for _ in range(config.layers))

    def forward(self, x):
        """(N, C, H, W) -> the same shape."""
        for block in self.blocks:
            x = block(x)
        return functional.relu(x)


class Downsampling(nn.Module):
    """Strided convolutions with ReLU."""

    def __init__(self, channels_in, factor, config):
        super().__init__()
        widths = [config.hidden_units // 2] * int(math.log2(factor))
        if len(widths) > 1:
            widths[-1] = config.hidden_units
        self.convolutions = nn.ModuleList(
            conv(a, b, config.upsampling_filter_size, stride=2)
            for a, b in zip([channels_in, *widths], widths, strict=False)
        )
        self.channels = widths[-1]

    def forward(self, x):
        """(N, C, H, W) -> (N, channels, H / factor, W / factor)."""
        for convolution in self.convolutions:
            x = functional.relu(convolution(x))
        return x


class Upsampling(nn.Module):
    """Transposed convolutions with ReLU between."""

    def __init__(self, channels_in, channels, channels_out, factor, config):
        super().__init__()
        count = int(math.log2(factor))
        widths = [channels_in, *[channels] * (count - 1), channels_out]
        self.convolutions = nn.ModuleList(
            conv_transpose(a, b, config.upsampling_filter_size)
            for a, b in zip(widths, widths[1:], strict=False)
        )

    def forward(self, x):
        """(N, C, H, W) -> (N, channels_out, H * factor, W * factor)."""
        for i, convolution in enumerate(self.convolutions):
            x = convolution(functional.relu(x) if i else x)
        return x


class Refinement(nn.Module):
    """A 3x3 convolution, a residual stack."""

    def __init__(self, channels_in, config):
        super().__init__()
        self.convolution = conv(channels_in, config.hidden_units, config.encoder_filter_size)
        self.stack = ResidualStack(config)

    def forward(self, x):
        """(N, C, H, W) -> (N, hidden, H, W)."""
        return self.stack(self.convolution(x))


class Encoder(nn.Module):
    """Downsampling, refinement."""

    def __init__(self, channels_in, factor, config):
        super().__init__()
        self.downsampling = Downsampling(channels_in, factor, config)
        self.refinement = Refinement(self.downsampling.channels, config)

    def forward(self, x):
        """(N, C, H, W) -> (N, hidden, H / factor, W / factor)."""
        return self.refinement(self.downsampling(x))


class Fusion(nn.Module):
    """Upsample all levels to the finest, join, refine."""

    def __init__(self, sizes, config):
        super().__init__()
        dimension = config.codebook_dimension
        self.upsampling = nn.ModuleList(
            Upsampling(dimension, dimension, dimension, sizes[-1] // size, config)
            for size in sizes[:-1]
        )
        self.refinement = Refinement(len(sizes) * dimension, config)

    def forward(self, *quantized):
        """Maps (N, D, size, size), coarse to fine -> (N, hidden, sizes[-1], sizes[-1])."""
        *coarser, finest = quantized
        maps = [upsample(e) for upsample, e in zip(self.upsampling, coarser, strict=True)]
        return self.refinement(torch.cat([*maps, finest], dim=1))


class Decoder(nn.Module):
    """Fusion, upsampling."""

    def __init__(self, sizes, channels_out, factor, config):
        super().__init__()
        hidden = config.hidden_units
        self.fusion = Fusion(sizes, config)
        self.upsampling = Upsampling(hidden, hidden // 2, channels_out, factor, config)

    def forward(self, quantized):
        """List of (N, D, size, size), coarse to fine -> (N, channels_out, ...)."""
        return self.upsampling(self.fusion(*quantized))


class Projection(nn.Module):
    """Features side by side, 1x1."""

    def __init__(self, channels_in, dimension):
        super().__init__()
        self.linear = pointwise(channels_in, dimension)

    def forward(self, *features):
        """Maps (N, C, s, s) -> (N, D, s, s)."""
        return self.linear(torch.cat(features, dim=1))


class Quantizer(nn.Module):
    """Nearest code, straight-through gradient, exponential moving averages (equations 1 to 3)."""

    def __init__(self, size, dimension, decay, epsilon):
        super().__init__()
        self.decay = decay
        self.epsilon = epsilon
        codebook = torch.randn(size, dimension)
        self.register_buffer("codebook", codebook)
        self.register_buffer("counts", torch.ones(size))
        self.register_buffer("sums", codebook.clone())

    def forward(self, h):
        """(N, D, H, W) -> quantised (N, D, H, W), codes (N, H, W), commitment loss."""
        h = h.permute(0, 2, 3, 1)
        flat = h.reshape(-1, h.shape[-1])
        distances = (
            flat.pow(2).sum(1, keepdim=True)
            - 2 * flat @ self.codebook.t()
            + self.codebook.pow(2).sum(1)
        )
        codes = distances.argmin(1)
        quantized = functional.embedding(codes, self.codebook).view(h.shape)
        if self.training:
            self._learn(flat.detach(), codes)
        loss = functional.mse_loss(h, quantized.detach())
        quantized = h + (quantized - h).detach()
        return quantized.permute(0, 3, 1, 2), codes.view(h.shape[:-1]), loss

    @torch.no_grad()
    def _learn(self, flat, codes):
        one_hot = functional.one_hot(codes, len(self.codebook)).type(flat.dtype)
        self.counts.mul_(self.decay).add_(one_hot.sum(0), alpha=1 - self.decay)
        self.sums.mul_(self.decay).add_(one_hot.t() @ flat, alpha=1 - self.decay)
        number = self.counts[:, None]
        self.codebook.add_((self.sums - number * self.codebook) / (number + self.epsilon))


class Autoencoder(nn.Module):
    """All levels; images (N, 3, H, W) in [0, 1]."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        sizes = (*config.latent_sizes, config.image_size)
        factors = [fine // coarse for coarse, fine in zip(sizes, sizes[1:], strict=False)]
        count, dimension = len(factors), config.codebook_dimension
        channels = [config.hidden_units] * (count - 1) + [config.channels]
        outputs = [dimension] * (count - 1) + [config.channels]
        self.encoders = nn.ModuleList(
            Encoder(c, f, config) for c, f in zip(channels, factors, strict=True)
        )
        self.projections = nn.ModuleList(
            Projection(config.hidden_units + (dimension if level else 0), dimension)
            for level in range(count)
        )
        self.quantizers = nn.ModuleList(
            Quantizer(
                config.codebook_size, dimension, config.codebook_decay, config.codebook_epsilon
            )
            for _ in range(count)
        )
        self.decoders = nn.ModuleList(
            Decoder(sizes[: i + 1], outputs[i], factors[i], config) for i in range(count)
        )

    def forward(self, images):
        """Images -> (centred reconstruction, codes per level, commitment loss)."""
        x, features = images - 0.5, []
        for encoder in reversed(self.encoders):
            x = encoder(x)
            features.insert(0, x)
        quantized, codes, commitment = [], [], 0
        for level, h in enumerate(features):
            seen = [h, self.decoders[level - 1](quantized)] if level else [h]
            e, k, loss = self.quantizers[level](self.projections[level](*seen))
            quantized.append(e)
            codes.append(k)
            commitment = commitment + loss
        return self.decoders[-1](quantized), codes, commitment

    def loss(self, images):
        """Equation 2."""
        reconstruction, _, commitment = self(images)
        error = functional.mse_loss(reconstruction, images - 0.5)
        return error + self.config.commitment * commitment
