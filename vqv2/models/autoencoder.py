"""The hierarchical VQ-VAE (Algorithm 1, Table 3, section A.3), with any number of levels."""

import contextlib
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.random import Generator

import vqv2.functional as F
from backends import Array, array_module, to_device, to_host
from vqv2 import nn
from vqv2.autodiff import Tensor, no_grad
from vqv2.config import AutoencoderConfig, check_levels
from vqv2.errors import InputError
from vqv2.models.quantizer import Quantizer

# With `config.recompute` the finest level is computed again, as the others have at most a quarter
# of its positions; in so many parts of a batch, one after the other, which divides the working
# memory. With 4 instead of 2 a small batch loses more time than the memory is worth.
PARTS = 2

Codes: TypeAlias = dict[str, np.ndarray]  # {level: (N, s, s), whole numbers}


class Downsampling(nn.Module):
    """Strided 4x4 convolutions, each followed by ReLU: 1 / `factor` of the size.

    They have hidden_units / 2 channels, except that the last of several has hidden_units.
    """

    def __init__(
        self, channels_in: int, factor: int, config: AutoencoderConfig, rng: Generator | None
    ) -> None:
        widths = [config.hidden_units // 2] * int(math.log2(factor))
        if len(widths) > 1:
            widths[-1] = config.hidden_units
        self.convolutions = [
            nn.Conv2d(a, b, config.upsampling_filter_size, rng, stride=2)
            for a, b in zip([channels_in, *widths], widths, strict=False)
        ]
        self.channels = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, channels_in) -> (N, H / factor, W / factor, channels)."""
        for convolution in self.convolutions:
            x = F.relu(convolution(x, biased=False), convolution.bias)
        return x


class Upsampling(nn.Module):
    """Transposed 4x4 convolutions of stride 2 with ReLU between them: `factor` times the size."""

    def __init__(
        self,
        channels_in: int,
        channels: int,
        channels_out: int,
        factor: int,
        config: AutoencoderConfig,
        rng: Generator | None,
    ) -> None:
        count = int(math.log2(factor))
        widths = [channels_in, *[channels] * (count - 1), channels_out]
        self.convolutions = [
            nn.ConvTranspose2d(a, b, config.upsampling_filter_size, rng, stride=2)
            for a, b in zip(widths, widths[1:], strict=False)
        ]

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, channels_in) -> (N, H * factor, W * factor, channels_out)."""
        *former, last = self.convolutions
        for convolution in former:
            x = F.relu(convolution(x, biased=False), convolution.bias)
        return last(x)


class Refinement(nn.Module):
    """A 3x3 convolution to hidden_units, a residual stack, ReLU: the body of every part."""

    def __init__(self, channels_in: int, config: AutoencoderConfig, rng: Generator | None) -> None:
        kernel_size, hidden = config.encoder_filter_size, config.hidden_units
        self.convolution = nn.Conv2d(channels_in, hidden, kernel_size, rng)
        self.stack = nn.ResidualStack(
            hidden, config.residual_units, config.layers, kernel_size, rng
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, channels_in) -> (N, H, W, hidden_units)."""
        return self.stack(self.convolution(x))


class Encoder(nn.Module):
    """Strided convolutions, then refinement: `channels_in` to hidden_units at 1 / `factor`."""

    def __init__(
        self, channels_in: int, factor: int, config: AutoencoderConfig, rng: Generator | None
    ) -> None:
        self.downsampling = Downsampling(channels_in, factor, config, rng)
        self.refinement = Refinement(self.downsampling.channels, config, rng)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, channels_in) -> (N, H / factor, W / factor, hidden_units)."""
        return self.refinement(self.downsampling(x))


class Fusion(nn.Module):
    """The maps of the coarsest levels, upsampled to the grid of the finest of them and refined.

    `sizes` are those of the levels, coarse to fine.
    """

    def __init__(
        self, sizes: Sequence[int], config: AutoencoderConfig, rng: Generator | None
    ) -> None:
        dimension = config.codebook_dimension
        self.upsampling = [
            Upsampling(dimension, dimension, dimension, sizes[-1] // size, config, rng)
            for size in sizes[:-1]
        ]
        self.refinement = Refinement(len(sizes) * dimension, config, rng)

    def forward(self, *quantized: Tensor) -> Tensor:
        """Maps (N, size, size, D), coarse to fine -> (N, sizes[-1], sizes[-1], hidden_units)."""
        *coarser, finest = quantized
        maps = [upsample(e) for upsample, e in zip(self.upsampling, coarser, strict=True)]
        return self.refinement(F.concatenate(*maps, finest) if maps else finest)


class Decoder(nn.Module):
    """From the quantised maps of the coarsest levels, coarse to fine, to something finer.

    They are fused at the grid of the finest of them; transposed convolutions (hidden_units / 2
    channels between) then make `channels_out` at `factor` times that grid. The last decoder of a
    hierarchy makes the image, those before it make what the next level's quantiser is told
    (Algorithm 1, line 3).
    """

    def __init__(
        self,
        sizes: Sequence[int],
        channels_out: int,
        factor: int,
        config: AutoencoderConfig,
        rng: Generator | None,
    ) -> None:
        hidden = config.hidden_units
        self.fusion = Fusion(sizes, config, rng)
        self.upsampling = Upsampling(hidden, hidden // 2, channels_out, factor, config, rng)

    def forward(self, quantized: list[Tensor]) -> Tensor:
        """List of (N, size, size, D), coarse to fine -> (N, size * factor, ..., channels_out)."""
        return self.upsampling(self.fusion(*quantized))


class Projection(nn.Module):
    """Encoder features, and what coarser levels say, side by side; 1x1 to a quantiser's D."""

    def __init__(self, channels_in: int, dimension: int, rng: Generator | None) -> None:
        self.linear = nn.Linear(channels_in, dimension, rng)

    def forward(self, *features: Tensor) -> Tensor:
        """Features (N, s, s, ...) -> (N, s, s, D)."""
        return self.linear(F.concatenate(*features) if len(features) > 1 else features[0])


class Reconstruction(NamedTuple):
    """What one pass through the autoencoder gives."""

    image: Tensor  # (N, H, W, C), centred: in [-0.5, 0.5] when perfect
    codes: list  # per level, coarse to fine: (N, size, size) int64
    losses: dict  # {"commitment": Tensor, ...}, summed over levels


class Autoencoder(nn.Module):
    """Encoders, quantisers and decoders of all levels; images come and go in [0, 1].

    Everything in lists runs from coarse (top) to fine (bottom), as `config.levels` does.
    """

    def __init__(self, config: AutoencoderConfig, rng: Generator | None) -> None:
        self.config = config
        sizes = (*config.latent_sizes, config.image_size)
        factors = [fine // coarse for coarse, fine in zip(sizes, sizes[1:], strict=False)]
        count, dimension = len(factors), config.codebook_dimension
        channels = [config.hidden_units] * (count - 1) + [config.channels]
        self.encoders = [
            Encoder(*of_level, config, rng) for of_level in zip(channels, factors, strict=True)
        ]
        self.projections = [
            Projection(config.hidden_units + (dimension if level else 0), dimension, rng)
            for level in range(count)
        ]
        self.quantizers = [_quantizer(config) for _ in range(count)]
        outputs = [dimension] * (count - 1) + [config.channels]
        self.decoders = [
            Decoder(sizes[: i + 1], outputs[i], factors[i], config, rng) for i in range(count)
        ]
        if config.recompute:
            recompute_level(self.encoders[-1], self.decoders[-1])
            if count > 1:  # which puts the features side by side
                self.projections[-1].recompute()

    def forward(self, images: Array, rng: Generator | None = None) -> "Reconstruction":
        """Algorithm 1, lines 1-5: images (N, H, W, C) in [0, 1] -> `Reconstruction`.

        With `rng` the quantisers learn (equation 3).
        """
        losses: dict[str, Tensor] = {}
        quantized, codes = [], []
        for _, e, k, level_losses in self._levels(images, rng):
            quantized.append(e)
            codes.append(k)
            for name, loss in level_losses.items():
                losses[name] = losses[name] + loss if name in losses else loss
        if rng is not None and self.config.level_dropout:
            quantized = self._drop_levels(quantized, rng)
        return Reconstruction(self.decoders[-1](quantized), codes, losses)

    def _levels(self, images, rng=None):
        """Yield (encoder outputs, quantised, codes, losses) of each level, coarse to fine."""
        images = to_device(images)
        if images.dtype.kind != "f":
            raise InputError(f"images are {images.dtype}: they must be floats in [0, 1]")
        x, quantized = Tensor(images - np.float32(0.5)), []
        for level, features in enumerate(self._features(x)):
            seen = [features, self.decoders[level - 1](quantized)] if level else [features]
            h = self.projections[level](*seen)
            e, codes, losses = self.quantizers[level](h, rng)
            quantized.append(e)
            yield h, e, codes, losses

    @contextlib.contextmanager
    def whole_batch(self, parts: int, rng: Generator | None):
        """Inside, the model is trained on `parts` of a batch, but its codebooks on the whole.

        They start from the outputs for all parts before the first one is quantised, and learn at
        the end. Yields a list that has then the codes of each level, coarse to fine, (M,).
        """
        for level, quantizer in enumerate(self.quantizers):
            if not quantizer.started:
                quantizer.start(self._outputs(parts, level), rng)
        for quantizer in self.quantizers:
            quantizer.gather()
        codes: list[Array] = []
        yield codes
        codes += [quantizer.learn_gathered(rng) for quantizer in self.quantizers]

    def _outputs(self, parts, level):
        """Encoder outputs (M, D) of one level for batches of images, an array."""
        with no_grad():
            levels = [itertools.islice(self._levels(images), level, None) for images in parts]
            outputs = [next(one)[0].array for one in levels]
        joined = array_module(outputs[0]).concatenate(outputs)
        return joined.reshape(-1, joined.shape[-1])

    def _drop_levels(self, quantized, rng):
        """For some images, replace the finer levels by their average vector, as `decode` does.

        Not in the paper. Without it the decoder may read everything from the finest level, which
        knows the coarser ones, and then the coarse levels alone decode to nothing.
        """
        share = len(quantized[0])
        count = share * self.communicator.size
        # How many of the coarsest levels an image keeps: all, or any smaller number.
        kept = rng.integers(1, max(2, len(quantized)), count)
        kept[rng.random(count) >= self.config.level_dropout] = len(quantized)
        kept = kept[share * self.communicator.rank :][:share]  # what concerns this process
        mixed = quantized[:1]
        for level, e in enumerate(quantized[1:], start=1):
            keep = to_device((kept > level).astype(np.float32))[:, None, None, None]
            average = self.quantizers[level].average_vector
            mixed.append(e * keep + average * (1 - keep))
        return mixed

    def _features(self, x):
        """Encoder outputs of every level, coarse to fine; each encoder reads the next finer one."""
        features = []
        for encoder in reversed(self.encoders):
            x = encoder(x)
            features.append(x)
        return features[::-1]

    def loss(
        self, images: Array, rng: Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Array]]:
        """Equation 2: (loss, parts, codes); parts are tensors, means over elements.

        "reconstruction" is the mean squared error of pixels in [0, 1]; "commitment" is weighted by
        `config.commitment` in the sum, a "codebook" loss by 1.
        """
        images = to_device(images)
        reconstruction = self(images, rng)
        target = images - np.float32(0.5)
        parts = {"reconstruction": F.mean_squared_error(reconstruction.image, target)}
        parts.update(reconstruction.losses)
        weights = {"reconstruction": 1.0, "commitment": self.config.commitment, "codebook": 1.0}
        loss = parts["reconstruction"]
        for name in reconstruction.losses:
            loss = loss + parts[name] * weights[name]
        return loss, parts, reconstruction.codes

    def encode(self, images: Array) -> Codes:
        """Images (N, H, W, C) in [0, 1] -> {level: codes (N, s, s) int64 on the host}.

        Raises `InputError` where encoder outputs are not finite: the nearest code of NaN is none.
        """
        codes = {}
        with no_grad():
            levels = zip(self.config.levels, self._levels(images), strict=True)
            for level, (h, _, k, losses) in levels:
                if not math.isfinite(losses["commitment"].item()):  # a mean over every number
                    _refuse(level, h.array)
                codes[level] = to_host(k)
        return codes

    def decode(
        self, codes: Codes, levels: Sequence[str] | None = None, undecided: bool = False
    ) -> np.ndarray:
        """{level: codes (N, s, s)} -> images (N, H, W, C) in [0, 1], clipped, on the host.

        `levels` names those to use (default: all); the others need not be given.
        Not stated in the paper (Figure 8 shows it): a level that is left out enters the decoder as
        the average of its code vectors, weighted by how often training used them. Training with
        `config.level_dropout` prepares the decoder for that. With `undecided` a code of -1, as in
        maps that are still being drawn, enters as that average, too.
        Raises `InputError` for an unknown level or codes that do not fit.
        """
        names = self.config.levels
        if isinstance(levels, str):
            raise InputError(f"levels {levels!r} must be a list of names, such as [{names[0]!r}]")
        chosen = names if levels is None else tuple(levels)
        check_levels(chosen, names)
        count = _batch_size(codes, chosen)
        with no_grad():
            maps = [
                self._level_map(level, codes[level] if level in chosen else None, count, undecided)
                for level in names
            ]
            image = self.decoders[-1](maps).array
        return np.clip(to_host(image) + np.float32(0.5), 0, 1)

    def _level_map(self, level, codes, count, undecided):
        """Code vectors (N, s, s, D) of a level, or its average vector where there is no code."""
        position = self.config.levels.index(level)
        quantizer, size = self.quantizers[position], self.config.latent_sizes[position]
        if codes is None:
            vector = quantizer.average_vector
            shape = (count, size, size, len(vector))
            return Tensor(array_module(vector).broadcast_to(vector, shape).copy())
        codes = np.asarray(to_host(codes))
        if codes.shape != (count, size, size):
            raise InputError(
                f"codes of {level} have shape {codes.shape}, expected ({count}, {size}, {size})"
            )
        least, most = -1 if undecided else 0, len(quantizer.vectors) - 1
        if codes.dtype.kind not in "iu" or codes.min() < least or codes.max() > most:
            raise InputError(f"codes of {level} must be whole numbers from {least} to {most}")
        vectors = quantizer.decode(to_device(np.maximum(codes, 0)))
        if undecided:
            decided = to_device(codes >= 0)[..., None]
            vectors = array_module(vectors).where(decided, vectors, quantizer.average_vector)
        return Tensor(vectors)


def recompute_level(encoder, decoder):
    """Have the backward pass compute a level's encoder and decoder again, in parts of a batch."""
    for part in (encoder.downsampling, encoder.refinement, decoder.fusion, decoder.upsampling):
        part.recompute(PARTS)


def _quantizer(config):
    return Quantizer(
        config.codebook_size,
        config.codebook_dimension,
        config.codebook_decay,
        config.codebook_epsilon,
        config.restart_after,
        config.codebook_update,
    )


def _refuse(level, outputs):
    """Say of which images the outputs (N, s, s, D) have squares that are not finite numbers."""
    with np.errstate(over="ignore"):
        squares = np.square(to_host(outputs)).sum(axis=(1, 2, 3))
    places = np.flatnonzero(~np.isfinite(squares))
    what = f"the code vectors of level {level} are"
    if len(places):
        what = (
            f"level {level}: what the encoder makes of image {places[0]} of {len(outputs)} "
            f"({len(places)} such) is"
        )
    raise InputError(
        f"{what} NaN, infinite or enormous: the weights are damaged, or their training diverged"
    )


def _batch_size(codes, levels):
    """N of the first level that is used."""
    if not levels:
        raise InputError("decoding needs at least one level")
    for level in levels:
        if level not in codes:
            raise InputError(f"codes of level {level} are missing")
    return len(codes[levels[0]])
