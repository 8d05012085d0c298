"""A small convolutional classifier: what ranks and judges samples (Figure 10).

Not in the paper, whose classifier was a large one, trained elsewhere. It is made for images of 28
to 64 pixels and trains in minutes on a processor.
"""

import numpy as np

import vqv2.functional as F
from backends import to_device, to_host
from vqv2 import nn
from vqv2.autodiff import no_grad
from vqv2.errors import InputError


class HalvingBlock(nn.Module):
    """To half the size: y = ReLU(BatchNorm(conv4x4(x))), then y + ReLU(BatchNorm(conv3x3(y))).

    The 4x4 convolution has stride 2, as those of the autoencoder's encoder (Table 3).
    """

    def __init__(self, channels_in, channels, rng):
        self.strided = nn.Conv2d(channels_in, channels, 4, rng, stride=2)
        self.strided_normalization = nn.BatchNorm(channels, relu=True)
        self.spatial = nn.Conv2d(channels, channels, 3, rng)
        self.spatial_normalization = nn.BatchNorm(channels, relu=True)

    def forward(self, x, rng=None):
        """(N, H, W, channels_in) -> (N, H / 2, W / 2, channels), H and W even."""
        y = self.strided_normalization(self.strided(x), rng)
        return y + self.spatial_normalization(self.spatial(y), rng)


class Trunk(nn.Module):
    """Halving blocks until the map is at most 4 x 4 or odd, its mean, and a linear layer with ReLU.

    What it puts out are the classifier's features: `vqv2.lab.evaluation.features` can take them.
    """

    def __init__(self, config, rng):
        self.blocks, channels = [], config.channels
        for width in _widths(config):
            self.blocks.append(HalvingBlock(channels, width, rng))
            channels = width
        self.dense = nn.Linear(channels, config.feature_units, rng)

    def forward(self, x, rng=None):
        """Centred images (N, H, W, C) -> (N, feature_units)."""
        for block in self.blocks:
            x = block(x, rng)
        return F.relu(self.dense(F.mean(x, axis=(1, 2))))


def _widths(config):
    """Channels of each block: hidden_units, then twice, then 4 times as many."""
    size, widths = config.image_size, []
    while size % 2 == 0 and size > 4:
        widths.append(config.hidden_units * min(4, 2 ** len(widths)))
        size //= 2
    return widths or [config.hidden_units]


class Classifier(nn.Module):
    """p(class | image) for images (N, image_size, image_size, channels) in [0, 1].

    config       a `ClassifierConfig`
    class_names  one for each class, at least 2
    """

    def __init__(self, config, class_names, rng):
        self.config = config
        self.class_names = tuple(class_names)
        if len(self.class_names) < 2:
            raise InputError(
                f"a classifier needs images of at least 2 classes, not {len(self.class_names)}"
            )
        self.trunk = Trunk(config, rng)
        self.logits = nn.Linear(config.feature_units, len(self.class_names), rng)

    def forward(self, images, rng=None):
        """Images (N, H, W, C) in [0, 1] -> logits (N, classes). With `rng` it trains."""
        size, channels = self.config.image_size, self.config.channels
        if images.ndim != 4 or images.shape[1:] != (size, size, channels):
            raise InputError(
                f"images have shape {images.shape}, expected (N, {size}, {size}, {channels})"
            )
        features = self.trunk(to_device(images) - np.float32(0.5), rng)
        return self.logits(F.dropout(features, rate=self.config.dropout, rng=rng))

    def loss(self, images, labels, rng=None):
        """(mean cross-entropy in nats, logits) for labels (N,), integers below the classes."""
        logits = self(images, rng)
        return F.mean(F.cross_entropy(logits, to_device(labels, np.int64))), logits

    def probabilities(self, images, batch=256):
        """Images (N, H, W, C) in [0, 1] -> p(class | image), float64 (N, classes) on the host."""
        parts = [np.zeros((0, len(self.class_names)))]
        for start in range(0, len(images), batch):
            with no_grad():
                logits = to_host(self(images[start : start + batch]).array).astype(np.float64)
            weights = np.exp(logits - logits.max(axis=1, keepdims=True))
            parts.append(weights / weights.sum(axis=1, keepdims=True))
        return np.concatenate(parts)
