"""Sampling one level's codes, position by position (Algorithm 2, lines 11 and 12)."""

import dataclasses

import numpy as np

from backends import array_module, sample, to_device, to_host
from vqv2.errors import InputError
from vqv2.progress import progress_bar
from vqv2.sampling.incremental import IncrementalPrior
from vqv2.sampling.naive import NaivePrior

METHODS = {"incremental": IncrementalPrior, "naive": NaivePrior}


@dataclasses.dataclass(frozen=True)
class Settings:
    """How codes are drawn from logits; the defaults sample the model as it is."""

    temperature: float = 1.0  # divides the logits; 0 takes the likeliest code
    top_k: int = 0  # keeps the k likeliest codes; 0 keeps all
    top_p: float = 1.0  # then keeps the fewest codes whose probability reaches p

    def check(self):
        """Raise `InputError` for settings that mean nothing; returns self."""
        if not 0 <= self.temperature < float("inf"):
            raise InputError(f"temperature {self.temperature} must be a number of at least 0")
        if self.top_k < 0:
            raise InputError(f"top-k {self.top_k} must be at least 0 (0 keeps all codes)")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top-p {self.top_p} must be greater than 0 and at most 1")
        return self


def sample_codes(
    prior,
    count,
    rng,
    label=None,
    coarser=(),
    settings=None,
    given=None,
    method="incremental",
    progress=None,
):
    """Draw codes (count, size, size), int64 on the host.

    label     (count,) integers for a class-conditional prior
    coarser   codes (count, s, s) of each coarser level, coarse to fine
    given     codes to keep, (count, size, size) integers with -1 where to draw: a prefix to
              continue, or any set of positions (each draw sees the ones before it only)
    method    "incremental", or "naive", a forward pass per position: the same codes for the same
              `rng`, as far as rounding does not decide between two codes
    progress  a text for a progress bar

    Gumbel noise (count, K) is drawn from `rng` for every position in raster order, also for the
    given ones, on the host: what is kept does not change the noise of what is drawn. Raises
    `InputError` for wrong inputs.
    """
    settings = (settings or Settings()).check()
    given = _check_given(given, count, prior)
    stepper = METHODS[method](prior, count, label, coarser)
    codes = np.empty((count, prior.size**2), np.int64)
    with progress_bar(prior.size**2, progress, "code", progress is not None) as bar:
        for position in range(prior.size**2):
            gumbel = rng.gumbel(size=(count, prior.codebook_size))
            drawn = _draw(stepper.logits(), gumbel, settings)
            kept = given[:, position]
            codes[:, position] = np.where(kept >= 0, kept, drawn)
            stepper.append(to_device(codes[:, position]))
            bar.update()
    return codes.reshape(count, prior.size, prior.size)


def _draw(logits, gumbel, settings):
    noise = array_module(logits).asarray(gumbel, dtype=logits.dtype)
    choice = (settings.temperature, settings.top_k, settings.top_p)
    return to_host(sample.sample_codes(logits, noise, *choice))


def _check_given(given, count, prior):
    if given is None:
        return np.full((count, prior.size**2), -1)
    given = np.asarray(given)
    shape = (count, prior.size, prior.size)
    if given.shape != shape or given.dtype.kind not in "iu":
        raise InputError(f"given codes must be whole numbers of shape {shape}, not {given.shape}")
    if given.size and int(given.max()) >= prior.codebook_size:
        raise InputError(f"given code {int(given.max())} is not below {prior.codebook_size}")
    return given.reshape(count, -1).astype(np.int64)
