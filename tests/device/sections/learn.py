"""A small real training on drawn pictures: what it reaches on those that it has not seen.

`run.sh` has the same done on the device and on its processor: the figures must agree, since they
are averages over many steps, whose rounding differs.
"""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

import backends
from vqv2 import pipeline
from vqv2.config import AutoencoderConfig, Config, PriorConfig
from vqv2.run import Run
from vqv2.run.log import read_log
from vqv2.training import Schedule

SIZE = 32  # pixels
PICTURES, STEPS = 2000, 300
_AUTOENCODER = AutoencoderConfig(
    image_size=SIZE,
    latent_sizes=(4, 8),
    hidden_units=32,
    residual_units=16,
    codebook_size=64,
    codebook_dimension=16,
    restart_after=20,
    batch=32,
    learning_rate=2e-3,
    polyak_decay=0.98,
    augmentation="none",
)
_PRIOR = PriorConfig(
    hidden_units=32,
    residual_units=64,
    layers=4,
    attention_layers=1,
    attention_heads=2,
    output_stack_layers=1,
    batch=32,
    warmup_steps=50,
    polyak_decay=0.98,
)


def measure(report, scale):
    """The autoencoder and the top prior, in float32, and on a device in bfloat16 as well."""
    on = "device" if backends.current() == "cupy" else "processor"
    for precision in ("float32", "bfloat16") if on == "device" else ("float32",):
        report.tried("learn", lambda p=precision: _learned(scale, p), precision=precision, on=on)


def pictures(count, seed=0):
    """(pictures (count, 32, 32, 3) uint8, classes): a disc or a square of a colour on another."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 2, count)
    rows, columns = np.indices((SIZE, SIZE))
    centres, radii = rng.integers(8, SIZE - 8, (count, 2, 1, 1)), rng.integers(4, 9, count)
    down, across = np.abs(rows - centres[:, 0]), np.abs(columns - centres[:, 1])
    distances = np.where(kinds[:, None, None], np.maximum(down, across), np.hypot(down, across))
    inside = distances <= radii[:, None, None]
    inner, outer = rng.integers(0, 256, (2, count, 1, 1, 3), dtype=np.uint8)
    return np.where(inside[..., None], inner, outer), kinds


def _learned(scale, precision):
    change = {"steps": STEPS, "precision": precision}
    if scale == "tiny":
        change |= {"steps": 1, "hidden_units": 4, "residual_units": 4}
    autoencoder = dataclasses.replace(_AUTOENCODER, **change)
    prior = dataclasses.replace(_PRIOR, **change)
    schedule = Schedule(validate_every=10**6, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        images, labels = pictures(12 if scale == "tiny" else PICTURES)
        data = str(Path(folder) / "pictures.npz")
        np.savez(data, images=images, labels=labels)
        sources = pipeline.open_splits(data, autoencoder)
        config = Config("drawn", autoencoder, (prior, prior))
        run = Run.new(Path(folder) / "run", config, sources["train"].class_names, data)
        run.save()
        pipeline.train_autoencoder(run, sources, schedule=schedule)
        pipeline.extract_codes(run, sources, progress=False)
        pipeline.train_prior(run, "top", schedule=schedule)
        stages = ("autoencoder", "prior-top")
        return {stage: _held_out(run.stage_folder(stage)) for stage in stages}


def _held_out(folder):
    """The last figures of a stage on held-out pictures."""
    lines = [line for line in read_log(Path(folder) / "log.jsonl") if line["split"] == "held_out"]
    return {name: value for name, value in lines[-1].items() if isinstance(value, float)}
