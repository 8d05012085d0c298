"""A hierarchy so small that tests can train it in a second, and pictures for it."""

import dataclasses
import struct

import numpy as np

from vqv2 import pipeline
from vqv2.config import AutoencoderConfig, Config, PriorConfig
from vqv2.run import Run

AUTOENCODER = AutoencoderConfig(
    image_size=16,
    latent_sizes=(4, 8),
    hidden_units=8,
    residual_units=4,
    layers=1,
    codebook_size=12,
    codebook_dimension=6,
    restart_after=3,
    batch=4,
    steps=6,
    learning_rate=1e-3,
    polyak_decay=0.5,
    augmentation="imagenet",
    precision="float32",
)
PRIOR = PriorConfig(
    hidden_units=8,
    residual_units=8,
    layers=2,
    attention_layers=1,
    attention_heads=2,
    output_stack_layers=1,
    batch=4,
    steps=5,
    warmup_steps=10,
    polyak_decay=0.5,
    precision="float32",
)
CONFIG = Config(
    "small",
    AUTOENCODER,
    (
        PRIOR,
        dataclasses.replace(PRIOR, attention_layers=0, conditioning_blocks=2, conditioning_units=8),
    ),
)


def write_images(path, count=24, size=16, classes=3):
    """An .npz file of random pictures with labels; returns its path as text."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    np.savez(path, images=pixels, labels=np.arange(count) % classes)
    return str(path)


def write_fashion_mnist(folder, train=60, test=40):
    """The four idx files of a Fashion-MNIST of random pictures in `folder`; what `--data` takes."""
    rng = np.random.default_rng(0)
    for prefix, count in (("train", train), ("t10k", test)):
        arrays = {
            "images-idx3": rng.integers(0, 256, (count, 28, 28), dtype=np.uint8),
            "labels-idx1": (np.arange(count) % 10).astype(np.uint8),
        }
        for name, values in arrays.items():
            header = struct.pack(f">{values.ndim + 1}I", 0x0800 + values.ndim, *values.shape)
            (folder / f"{prefix}-{name}-ubyte").write_bytes(header + values.tobytes())
    return f"fashion-mnist:{folder}"


def train_all(folder, schedule):
    """(run, sources): `CONFIG` trained on random pictures, all of it in `folder`."""
    sources = pipeline.open_splits(write_images(folder / "images.npz"), AUTOENCODER)
    run = Run.new(folder / "run", CONFIG, sources["train"].class_names, "images.npz")
    run.save()
    pipeline.train_autoencoder(run, sources, schedule=schedule)
    pipeline.extract_codes(run, sources, progress=False)
    for level in run.config.levels:
        pipeline.train_prior(run, level, schedule=schedule)
    return run, sources
