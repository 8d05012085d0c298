"""Training an autoencoder without quantisation, and the prior of its latent vectors (Table 5)."""

import math
from typing import NamedTuple

import numpy as np

from vqv2.autodiff import no_grad
from vqv2.data.split import spread_indices
from vqv2.optim import Adam, prior_learning_rate
from vqv2.training import AutoencoderTask
from vqv2.training.draws import batch_indices
from vqv2.training.task import VALIDATED, Task

BINS = 256  # section B.1 after PixelCNN++
COMPONENTS = 10  # section B.1


class ContinuousTask(AutoencoderTask):
    """Training a `ContinuousAutoencoder` exactly as the quantised one is trained."""

    def _usage(self, codes):
        return {}


class Discretization(NamedTuple):
    """How latent vectors become bins: evenly, between each dimension's extremes in training.

    The paper does not say how its latents were brought to 256 bins. Held-out numbers beyond the
    extremes fall into the outermost bins.
    """

    low: np.ndarray  # (D,) float32
    high: np.ndarray  # (D,)

    @classmethod
    def of(cls, latents):
        """That of training latents (..., D)."""
        vectors = latents.reshape(-1, latents.shape[-1])
        return cls(vectors.min(axis=0), vectors.max(axis=0))

    def bins(self, latents):
        """Latents (..., D) -> the nearest of `BINS` bins, uint8."""
        span = np.where(self.high > self.low, self.high - self.low, 1)
        places = np.rint((latents - self.low) / span * (BINS - 1))
        return np.clip(places, 0, BINS - 1).astype(np.uint8)

    def latents(self, bins):
        """Bins (..., D) -> the latents at their centres, float32."""
        return self.low + bins.astype(np.float32) * ((self.high - self.low) / (BINS - 1))


def encode_images(model, source, batch=32):
    """Latents (N, s, s, D), float32, of all images of an `ImageSource`, held in memory."""
    return np.concatenate(
        [
            model.encode(source.batch(np.arange(start, min(start + batch, len(source)))))
            for start in range(0, len(source), batch)
        ]
    )


class LatentPriorTask(Task):
    """Training a `LatentPrior` on {split: bins (N, s, s, D) uint8} of an autoencoder."""

    def __init__(self, model, bins, identity, seed):
        super().__init__(model, seed)
        self.stage = f"prior-latents{model.dimensions}"
        self.bins = bins
        self.optimizer = Adam(model.parameters(), self.config.polyak_decay)
        self.metadata = {"autoencoder": identity, "components": COMPONENTS, "bins": BINS}

    def batch(self, step):
        """Bins (N, s, s, D) of a step."""
        train = self.bins["train"]
        return train[batch_indices(self.seed, step, self.config.batch, len(train))]

    def loss(self, data, rng):
        """(nats per vector, function: the same in bits per image)."""
        loss = self.model.loss(data, rng)
        return loss, lambda: {"bits_per_image": self._bits(loss.item())}

    def learning_rate(self, step):
        """Section A.2's formula."""
        return prior_learning_rate(step, self.config)

    def validate(self):
        """Nats per vector and bits per image of held-out images, with averaged weights."""
        held_out, total = self.bins["held_out"], 0.0
        chosen, batch = spread_indices(len(held_out), VALIDATED), 32
        with self.optimizer.averaged(), no_grad():
            for start in range(0, len(chosen), batch):
                part = held_out[chosen[start : start + batch]]
                total += self.model.loss(part).item() * len(part)
        nats = total / len(chosen)
        return {"loss": nats, "bits_per_image": self._bits(nats)}

    def _bits(self, nats):
        return nats * self.model.size**2 / math.log(2)
