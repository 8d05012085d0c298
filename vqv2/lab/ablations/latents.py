"""Table 5: what happens without quantisation. Autoencoders of several latent sizes against VQ."""

import dataclasses
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vqv2 import pipeline
from vqv2.config import AutoencoderConfig, Config, PriorConfig
from vqv2.errors import InputError
from vqv2.hierarchy import Hierarchy
from vqv2.lab.ablations.continuous import (
    BINS,
    COMPONENTS,
    ContinuousTask,
    Discretization,
    LatentPriorTask,
    encode_images,
)
from vqv2.lab.ablations.continuous_autoencoder import ContinuousAutoencoder
from vqv2.lab.ablations.held_out import held_out_losses
from vqv2.lab.ablations.latent_prior import LatentPrior
from vqv2.lab.evaluation.rate_distortion import distortion
from vqv2.run.checkpoint import checksum
from vqv2.training import Schedule, train

VALIDATIONS = 10  # in each training
DIMENSIONS = (8, 16, 32, 64)  # Table 5

# The paper: ImageNet at 128 x 128, one latent map of 32 x 32, codes as in Table 3, a prior of 256
# hidden units with two attention layers and batches of 256. Here: small enough for one processor
# core. As there, four pixels make one position of the map, so that 64 dimensions are more numbers
# than the image has; codebook and dimensions are the paper's.
CONFIG = Config(
    "latents",
    AutoencoderConfig(
        image_size=32,
        latent_sizes=(8,),
        hidden_units=32,
        residual_units=32,
        restart_after=50,
        batch=16,
        steps=2400,
        learning_rate=1.5e-3,
        decay_learning_rate=True,
        polyak_decay=0.98,
        augmentation="none",
    ),
    (
        PriorConfig(
            hidden_units=32,
            residual_units=128,
            layers=4,
            attention_layers=2,
            attention_heads=4,
            output_stack_layers=1,
            batch=16,
            steps=400,
            warmup_steps=100,
            polyak_decay=0.95,
        ),
    ),
    conditional=False,
)


class Row(NamedTuple):
    """One row of Table 5, on held-out images."""

    dimensions: int | None  # of the latent vectors; None for the VQ-VAE
    psnr: float  # dB, of what the NLL is the cost of: codes, or latents rounded to their bins
    bits_per_image: float  # lowest of all validations, where early stopping would have ended
    last_bits_per_image: float  # after the last step
    unrounded_psnr: float  # dB, of latents that are not rounded to bins


class LatentAblation:
    """The trainings of Table 5 on `data`, each in a folder of its own inside `folder`.

    data    what `open_images` takes, of `config.autoencoder.image_size` pixels
    config  a `Config` of one level: the VQ-VAE's. The other autoencoders differ from it in having
            no quantiser and another number of dimensions in its place.

    A training that is there is continued. Raises `InputError` when the folder holds another one.
    """

    def __init__(self, data, config, folder, seed=0, progress=True):
        if len(config.levels) != 1:
            raise InputError(
                f"autoencoder.latent_sizes {config.autoencoder.latent_sizes}: give one size, since "
                "Table 5 compares autoencoders with a single latent map"
            )
        self.config = config
        self.data = data
        self.folder = Path(folder)
        self.seed = seed
        self.progress = progress
        self.sources = pipeline.open_splits(data, config.autoencoder)

    def quantized(self):
        """The VQ-VAE's `Row`; its folder, vq, is an ordinary run."""
        run = pipeline.open_or_begin(self.folder / "vq", self.config, self.data, self.sources)
        schedule = self._schedule(run.config.autoencoder.steps)
        trained = pipeline.train_autoencoder(run, self.sources, self.seed, True, schedule)
        if trained or not (run.codes_folder / "manifest.json").exists():
            pipeline.extract_codes(run, self.sources, self.progress)
        schedule = self._schedule(run.config.priors[0].steps)
        pipeline.train_prior(run, "top", self.seed, True, schedule)
        hierarchy, held_out = Hierarchy.load(run.folder, priors=False), self.sources["held_out"]
        decibels = distortion(hierarchy, held_out, count=len(held_out))["top",].psnr
        return Row(None, decibels, *self._bits(run.stage_folder("prior-top")), decibels)

    def continuous(self, dimensions):
        """The `Row` of an autoencoder with latent vectors of so many `dimensions`."""
        folder = self.folder / f"latents{dimensions}"
        model = self._autoencoder(dimensions, folder / "autoencoder")
        latents = {split: encode_images(model, source) for split, source in self.sources.items()}
        discretization = Discretization.of(latents["train"])
        bins = {split: discretization.bins(array) for split, array in latents.items()}
        self._train_prior(dimensions, bins, checksum(model.state()), folder / "prior")
        rounded = discretization.latents(bins["held_out"])
        return Row(
            dimensions,
            self._psnr(model, rounded),
            *self._bits(folder / "prior"),
            self._psnr(model, latents["held_out"]),
        )

    def _autoencoder(self, dimensions, folder):
        """Trained, with averaged weights."""
        config = dataclasses.replace(self.config.autoencoder, codebook_dimension=dimensions)
        model = ContinuousAutoencoder(config, np.random.default_rng((self.seed, 0)))
        task = ContinuousTask(model, self.sources["train"], self.sources["held_out"], self.seed)
        self._train(task, folder)
        with task.optimizer.averaged():
            averaged = model.state()
        model.load_state(averaged)
        return model

    def _train_prior(self, dimensions, bins, autoencoder, folder):
        (size,) = self.config.autoencoder.latent_sizes
        rng = np.random.default_rng((self.seed, 1))
        model = LatentPrior(self.config.priors[0], dimensions, size, rng, COMPONENTS, BINS)
        self._train(LatentPriorTask(model, bins, autoencoder, self.seed), folder)

    def _train(self, task, folder):
        train(task, folder, self.seed, True, self._schedule(task.config.steps))

    def _schedule(self, steps):
        return Schedule(validate_every=max(1, steps // VALIDATIONS), progress=self.progress)

    def _bits(self, folder):
        """(lowest, last) held-out bits per image in a prior's log, from nats per position."""
        losses = list(held_out_losses(folder).values())
        positions = self.config.autoencoder.latent_sizes[0] ** 2
        return [nats * positions / math.log(2) for nats in (min(losses), losses[-1])]

    def _psnr(self, model, latents, batch=32):
        """PSNR in dB of all held-out images decoded from `latents`, of their joint error."""
        source, total = self.sources["held_out"], 0.0
        for start in range(0, len(source), batch):
            images = source.batch(np.arange(start, min(start + batch, len(source))))
            error = model.decode(latents[start : start + batch]).astype(np.float64) - images
            total += (error**2).mean() * len(images)
        return -10 * math.log10(total / len(source)) if total > 0 else math.inf


def latents_table(rows, config):
    """(columns, rows): Table 5."""
    columns = ["", "Latent Dimension", "Distortion PSNR (dB)", "NLL (bits per Image)"]
    autoencoder = config.autoencoder
    size = f"{autoencoder.codebook_size} codes, {autoencoder.codebook_dimension} dimensions"
    body = []
    for row in rows:
        name = "VQ-VAE" if row.dimensions is None else "Unregularised autoencoder"
        body.append([name, row.dimensions or size, f"{row.psnr:.2f}", f"{row.bits_per_image:.0f}"])
    return columns, body
