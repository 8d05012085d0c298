"""An autoencoder without quantisation: what Table 5 compares the VQ-VAE with."""

import numpy as np

import vqv2.functional as F
from backends import to_device, to_host
from vqv2 import nn
from vqv2.autodiff import Tensor, no_grad
from vqv2.errors import InputError
from vqv2.models.autoencoder import Decoder, Encoder, recompute_level


class ContinuousAutoencoder(nn.Module):
    """The one-level VQ-VAE's encoder, 1x1 projection and decoder with nothing in between.

    `config.codebook_dimension` is the number of dimensions of a latent vector; nothing limits or
    regularises the vectors. Raises `InputError` for a configuration with several levels.
    """

    def __init__(self, config, rng):
        if len(config.latent_sizes) != 1:
            raise InputError(
                f"latent_sizes {config.latent_sizes}: an autoencoder without quantisation has one "
                "level, as in Table 5"
            )
        self.config = config
        (size,) = config.latent_sizes
        factor = config.image_size // size
        self.encoder = Encoder(config.channels, factor, config, rng)
        self.projection = nn.Linear(config.hidden_units, config.codebook_dimension, rng)
        self.decoder = Decoder((size,), config.channels, factor, config, rng)
        if config.recompute:
            recompute_level(self.encoder, self.decoder)

    def loss(self, images, rng=None):
        """(mean squared error of pixels in [0, 1], {"reconstruction": the same}, no codes: []).

        images (N, H, W, C) in [0, 1], a host array.
        """
        x = to_device(images) - np.float32(0.5)
        error = F.mean_squared_error(self.decoder([self._latents(x)]), x)
        return error, {"reconstruction": error}, []

    def encode(self, images):
        """Images (N, H, W, C) in [0, 1] -> latent vectors (N, s, s, D), float32 on the host."""
        with no_grad():
            return to_host(self._latents(to_device(images) - np.float32(0.5)).array)

    def decode(self, latents):
        """Latent vectors (N, s, s, D) -> images (N, H, W, C) in [0, 1], clipped, on the host."""
        with no_grad():
            image = self.decoder([Tensor(to_device(latents))]).array
        return np.clip(to_host(image) + np.float32(0.5), 0, 1)

    def _latents(self, x):
        return self.projection(self.encoder(Tensor(x)))
