"""Sampling the codes of one level, position by position (Algorithm 2, lines 11 and 12).

The noise of a code is a hash of its map's seed, the position and the code
(`backends.reference.sample.gumbel_noise`). So a map is the same whichever others are drawn beside
it, in whatever order, by whichever process; and what is kept at one position, or of another level,
does not change the noise of any other.
"""

import dataclasses
import math
import numbers

import numpy as np

from backends import to_device, to_host
from backends.reference.hashing import seed_from
from vqv2.errors import InputError
from vqv2.sampling.drawing import row_sampler
from vqv2.sampling.incremental import IncrementalPrior
from vqv2.sampling.naive import NaivePrior
from vqv2.terminal import progress_bar


@dataclasses.dataclass(frozen=True)
class Settings:
    """How codes are drawn from logits; the defaults sample the model as it is."""

    temperature: float = 1.0  # divides the logits; 0 takes the likeliest code
    top_k: int = 0  # keeps the k likeliest codes; 0 keeps all
    top_p: float = 1.0  # then keeps the fewest codes whose probability reaches p

    def check(self):
        """Raise `InputError` for settings that mean nothing; returns self."""
        for name, kind, words in (
            ("temperature", numbers.Real, "a number"),
            ("top_k", numbers.Integral, "a whole number"),
            ("top_p", numbers.Real, "a number"),
        ):
            if not isinstance(value := getattr(self, name), kind):
                raise InputError(f"{name.replace('_', '-')} {value!r} must be {words}")
        if self.temperature != 0 and not 1e-3 <= self.temperature < float("inf"):
            raise InputError(f"temperature {self.temperature} must be 0, or at least 0.001")
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
    storage="float32",
    first=0,
):
    """Draw codes (count, size, size), int64 on the host.

    label     (count,) integers for a class-conditional prior
    coarser   codes (count, s, s) of each coarser level, coarse to fine
    given     codes to keep, (count, size, size) integers with -1 where to draw: a prefix to
              continue, or any set of positions (each draw sees the ones before it only)
    method    "incremental", or "naive", a forward pass per position: the same codes for the same
              `rng`, as far as rounding does not decide between two codes
    progress  a text for a progress bar
    storage   "float32", or "bfloat16": an incremental sampler then reads rounded weights, half as
              many bytes, which halves the time of small batches
    first     number of the first map, of all that the same `rng` gives

    `rng` gives one seed. The noise of a code depends on it, the number of its map, the position and
    the code alone (`noise.py`). Everything stays on the device until the maps are complete. Raises
    `InputError` for wrong inputs.
    """
    settings = (settings or Settings()).check()
    if given is None:
        given = np.full((count, prior.size, prior.size), -1)
    check_given(given, count, prior.size, prior.codebook_size)
    codes = to_device(np.array(given, np.int64))
    seeds = to_device(noise_seeds(rng, prior, count, first))
    stepper = _stepper(method, storage, prior, count, label, coarser)
    sampler = row_sampler(stepper, settings, seeds)
    with progress_bar(prior.size**2, progress, "code", progress is not None) as bar:
        for row in range(prior.size):
            for _ in sampler.draw(codes[:, row]):
                bar.update(1)
    return to_host(codes)


def _stepper(method, storage, *maps):
    if method == "incremental":
        return IncrementalPrior(*maps, storage)
    if method != "naive":
        raise InputError(f"there is no method {method!r}: use incremental or naive")
    if storage != "float32":
        raise InputError(f"storage {storage!r} is for incremental sampling, not for naive")
    return NaivePrior(*maps)


def check_given(given, count, size, codebook_size, name="the prior"):
    """Raise `InputError` unless `given` are codes to keep, with -1 where to draw."""
    shape = (count, size, size)
    try:
        given = np.asarray(given)
    except ValueError:
        raise InputError(
            f"given codes of {name} are lists of several lengths: they must be of shape {shape}"
        ) from None
    if given.shape != shape or given.dtype.kind not in "iu":
        raise InputError(
            f"given codes of {name} must be whole numbers of shape {shape}, not {given.dtype} of "
            f"shape {given.shape}"
        )
    if given.size and (int(given.max()) >= codebook_size or int(given.min()) < -1):
        raise InputError(
            f"given codes of {name} go from {int(given.min())} to {int(given.max())}: they must be "
            f"below {codebook_size}, and -1 where to draw"
        )


def level_generator(seed, number):
    """The generator from which the noise of level `number`, from 0 up, is drawn."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))


def noise_seeds(rng, prior, count, first=0):
    """Seeds (count,), uint64, of the maps `first` and following of a prior: one draw from `rng`.

    Together their noise is one sequence, which no two maps share a number of.
    """
    seed, numbers = int(rng.integers(2**63)), prior.size**2 * prior.codebook_size
    maps = range(first, first + count)
    return np.array([seed_from(seed, number * numbers) for number in maps], np.uint64)


def batch_size(count, batch, communicator):
    """How many of `count` samples a process draws side by side: `batch`, or an equal share."""
    return min(batch, math.ceil(count / communicator.size))


def draw_in_turns(draw, count, batch, sizes, communicator, first=0):
    """Yield (slice, codes {level: (n, size, size) int64}) of samples `first` to `count`, in order.

    draw    called with a slice of them: its codes {level: (n, size, size)}
    sizes   {level: size}

    The processes of a `communicator` draw a batch each, and all get the codes of all of them.
    """
    together = batch * communicator.size
    for start in range(first, count, together):
        stop = min(start + together, count)
        codes = {level: np.zeros((stop - start, s, s), np.int64) for level, s in sizes.items()}
        own = start + communicator.rank * batch
        if own < stop:
            places = slice(own, min(own + batch, stop))
            for level, drawn in draw(places).items():
                codes[level][own - start : own - start + batch] = drawn
        yield slice(start, stop), {level: communicator.all_reduce(c) for level, c in codes.items()}
