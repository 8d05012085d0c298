"""Our side of encoding: images to the codes of all levels, a batch as `vqv2 encode` takes it."""

import functools

import numpy as np

from backends import shapes
from vqv2.lab import counting
from vqv2.lab.bench.cases import training_case
from vqv2.lab.bench.subject import Subject
from vqv2.lab.bench.weights import QuickNormal
from vqv2.models.autoencoder import Autoencoder
from vqv2.presets import preset


def prepare(name):
    """Compile or load the kernels on a small model: that is no part of its time or memory."""
    build(name, batch=2, scale="tiny").run()


def build(name, preset_name=None, batch=4, scale="host"):
    """ "codes" of `batch` images by a preset's autoencoder; a tiny one where `scale` is "tiny"."""
    if scale == "tiny":
        config = training_case("autoencoder", scale).config
    else:
        config = preset(preset_name).autoencoder
    shape = (batch, config.image_size, config.image_size, config.channels)
    flops = counting.operations(
        lambda: _encoding(config, shapes.Weights(), shapes.Zeros(shape, np.float32))
    )
    images = np.random.default_rng(0).random(shape, dtype=np.float32)
    return Subject(_encoding(config, QuickNormal(), images), flops, units=batch, unit="image")


def _encoding(config, weights, images):
    return functools.partial(Autoencoder(config, weights).encode, images)
