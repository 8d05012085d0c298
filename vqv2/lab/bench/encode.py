"""Our side of encoding: images to the codes of all levels, a batch as `vqv2 encode` takes it."""

import numpy as np

from vqv2.lab.bench.cases import training_case
from vqv2.lab.bench.counting import counted
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
    model, rng = Autoencoder(config, QuickNormal()), np.random.default_rng(0)
    size = config.image_size
    images = rng.random((batch, size, size, config.channels), dtype=np.float32)
    with counted() as count:
        model.encode(images)
    return Subject(lambda: model.encode(images), count.forward, units=batch, unit="image")
