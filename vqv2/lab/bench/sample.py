"""Our side of sampling: stretches of rows of a map, from which a whole map follows.

A map of 64 x 64 codes takes a minute at full size. Convolutions cost the same in every row and
attention grows linearly, so a few rows from the middle of each third of the map say what the whole
takes (`extrapolate`). What is done once per map (the coarser levels' codes through the
conditioning stack) is measured whole. The caches of skipped rows hold zeros, which costs the same.
"""

import functools

import numpy as np

import backends
from backends import seconds_of, shapes, to_device
from vqv2.autodiff import no_grad
from vqv2.errors import InputError
from vqv2.lab import counting
from vqv2.lab.bench.cases import TrainingCase, build_model, training_case, training_data
from vqv2.lab.bench.subject import Subject
from vqv2.lab.bench.train import shallow
from vqv2.lab.bench.weights import QuickNormal
from vqv2.models.autoencoder import Autoencoder
from vqv2.presets import preset
from vqv2.sampling import IncrementalPrior, Settings, row_sampler


def stretches(size, fraction):
    """[(first row, rows), ...]: about size * fraction rows, the middle ones of each third.

    Raises `InputError` for a fraction outside ]0, 1].
    """
    if not 0 < fraction <= 1:
        raise InputError(f"--fraction {fraction} must be greater than 0 and at most 1")
    chosen = []
    for start, stop in thirds(size):
        rows = min(stop - start, max(1, round((stop - start) * fraction)))
        chosen.append((start + (stop - start - rows) // 2, rows))
    return chosen


def thirds(size):
    """[(start, stop), ...] of the first, middle and last third of `size` rows, none empty."""
    count = min(3, size)
    return [(size * i // count, size * (i + 1) // count) for i in range(count)]


def extrapolate(amounts, size, fraction):
    """Seconds of all rows, from those of each of `stretches(size, fraction)`."""
    measured = zip(amounts, stretches(size, fraction), thirds(size), strict=True)
    return sum(a / rows * (stop - start) for a, (_, rows), (start, stop) in measured)


def level_case(preset_name, level, classes, batch, scale="host"):
    """The prior of a preset's level as a `TrainingCase`; at the scale "tiny", a tiny one instead.

    Raises `InputError` for an unknown preset or level.
    """
    if scale == "tiny":
        return training_case("prior" if level == "top" else "conditioned prior", scale, batch)
    config = preset(preset_name)
    if level not in config.levels:
        raise InputError(f"{preset_name} has no level {level!r}, only {', '.join(config.levels)}")
    sizes, codes = config.autoencoder.latent_sizes, config.autoencoder.codebook_size
    position = config.levels.index(level)
    coarser = tuple((codes, size) for size in sizes[:position])
    classes = classes if config.conditional else 0
    return TrainingCase(config.prior(level), batch, sizes[position], coarser, classes, codes)


def prepare(name):
    """Compile or load the kernels on small models: that is no part of a map's time or memory.

    On a tiny one; in compiled loops, which have others for wider rows, on a shallow one, too.
    """
    case = "conditioned prior"
    build("map", {"case": case, "scale": "tiny"}).run()
    if backends.current() == "numba":
        build("map", {"case": case, "settings": shallow(case)}, fraction=1e-9).run()


def build(name, model, fraction=1.0, storage="float32"):
    """ "map" of one level, whose seconds are extrapolated, or "decode" of all levels' codes.

    `model` holds arguments of `level_case`, or of `training_case` with its name as "case".
    """
    if name == "decode":
        return _decoding(**model)
    case = chosen_case(**model)
    prior, data = build_model(case), training_data(case)
    measure = functools.partial(_measure_map, prior, case, data, fraction, storage)
    return Subject(
        measure,
        counting.operations(lambda: _forward(case)),
        traffic(case, storage),
        extrapolates=True,
        units=case.batch,
        unit="map",
    )


def _forward(case):
    """A forward pass over whole maps: as many operations as drawing them one code at a time."""
    prior, (codes, label, coarser) = counting.build(case), training_data(case)

    def run():
        with no_grad():
            prior(codes, label, coarser)

    return run


def traffic(case, storage):
    """Bytes of weights, keys and values that drawing maps side by side reads, at least."""
    counted = counting.sampling(case, storage)
    row, position = (sum(c.bytes.values()) for c in (counted.row, counted.position))
    return case.size * row + case.size**2 * position


def chosen_case(case=None, **options):
    """`training_case(case, ...)`, or without a name `level_case(...)`."""
    return training_case(case, **options) if case else level_case(**options)


def _measure_map(prior, case, data, fraction, storage):
    """Start a map and sample the stretches of it: the seconds that the whole would take."""
    starting, sampler = seconds_of(lambda: start_map(prior, case, data, storage))
    seconds = []
    for first, rows in stretches(case.size, fraction):
        sampler.stepper.skip_to(first)
        taken, _ = seconds_of(lambda rows=rows: sample_rows(sampler, case, rows))
        seconds.append(taken)
    return starting + extrapolate(seconds, case.size, fraction)


def start_map(prior, case, data, storage):
    """What draws maps of `training_data(case)` as `vqv2.sampling.sample_codes` does."""
    _, label, coarser = data
    stepper = IncrementalPrior(prior, case.batch, label, coarser, storage)
    return row_sampler(stepper, Settings(), to_device(np.arange(case.batch, dtype=np.uint64)))


def sample_rows(sampler, case, rows):
    """Draw the next rows of the maps."""
    for _ in range(rows):
        codes = to_device(np.full((case.batch, case.size), -1))
        for _ in sampler.draw(codes):
            pass


def _decoding(preset_name, batch, scale="host"):
    tiny = scale == "tiny"
    config = training_case("autoencoder", scale).config if tiny else preset(preset_name).autoencoder
    rng, levels = np.random.default_rng(0), zip(config.levels, config.latent_sizes, strict=True)
    codes = {n: rng.integers(0, config.codebook_size, (batch, size, size)) for n, size in levels}
    flops = counting.operations(lambda: _decode(config, shapes.Weights(), codes))
    return Subject(_decode(config, QuickNormal(), codes), flops, units=batch, unit="image")


def _decode(config, weights, codes):
    return functools.partial(Autoencoder(config, weights).decode, codes)
