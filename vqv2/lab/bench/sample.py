"""Our side of sampling: stretches of rows of a map, from which a whole map follows.

A map of 64 x 64 codes takes a minute at full size. Convolutions cost the same in every row and
attention grows linearly, so a few rows from the middle of each third of the map say what the whole
takes (`extrapolate`). What is done once per map (the coarser levels' codes through the
conditioning stack) is measured whole. The caches of skipped rows hold zeros, which costs the same.

A window of positions (`vqv2.sampling.rows`) needs fewer passes the better its forecasts are, and
that depends on the weights: random ones are another matter than trained ones. So passes are
counted; what one pass takes does not depend on the weights.
"""

import functools

import numpy as np

import backends
from backends import seconds_of, to_device
from vqv2.errors import InputError
from vqv2.lab.bench.cases import TrainingCase, training_case, training_data
from vqv2.lab.bench.counting import counted
from vqv2.lab.bench.subject import Subject
from vqv2.lab.bench.train import build_model, shallow
from vqv2.lab.bench.weights import QuickNormal
from vqv2.models.autoencoder import Autoencoder
from vqv2.presets import preset
from vqv2.sampling import IncrementalPrior, Settings, row_sampler

BYTES = {"float32": 4, "bfloat16": 2}  # of a stored weight


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
    """Seconds or passes of all rows, from those of each of `stretches(size, fraction)`."""
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


def build(name, model, fraction=1.0, storage="float32", window=1):
    """ "map" of one level, whose seconds are extrapolated, or "decode" of all levels' codes.

    `model` holds arguments of `level_case`, or of `training_case` with its name as "case".
    """
    if name == "decode":
        return _decoding(**model)
    case = chosen_case(**model)
    prior, data = build_model(case), training_data(case)
    with counted() as count:
        _start(prior, case, data, storage)
    measure = functools.partial(_measure_map, prior, case, data, fraction, storage, window)
    passes = case.size**2 if window == 1 else round(measure()[1])  # the same in every run
    flops, traffic = work(prior, case.batch, 0, case.size, storage, passes)
    return Subject(
        lambda: measure()[0],
        count.forward + flops,
        4 * _conditioning_weights(prior) + traffic,
        extrapolates=True,
        units=case.batch,
        unit="map",
        passes=passes,
    )


def chosen_case(case=None, **options):
    """`training_case(case, ...)`, or without a name `level_case(...)`."""
    return training_case(case, **options) if case else level_case(**options)


def _measure_map(prior, case, data, fraction, storage, window):
    """Start a map and sample the stretches of it: (seconds, passes) that the whole would take."""
    starting, stepper = seconds_of(lambda: _start(prior, case, data, storage))
    sampler, seconds, passes = row_sampler(stepper, Settings(), window), [], []
    for first, rows in stretches(case.size, fraction):
        sampler.skip_to(first)
        taken, count = seconds_of(lambda rows=rows: sample_rows(sampler, case, rows))
        seconds.append(taken)
        passes.append(count)
    whole = functools.partial(extrapolate, size=case.size, fraction=fraction)
    return starting + whole(seconds), whole(passes)


def _start(prior, case, data, storage):
    _, label, coarser = data
    return IncrementalPrior(prior, case.batch, label, coarser, storage)


def sample_rows(sampler, case, rows):
    """Draw rows as `vqv2.sampling.sample_codes` does, at temperature 1; the passes it took."""
    rng, passes = np.random.default_rng(0), 0
    for _ in range(rows):
        noise = to_device(rng.gumbel(size=(case.batch, case.size, case.codes)), np.float32)
        codes = to_device(np.full((case.batch, case.size), -1))
        passes += sum(1 for _ in sampler.draw(codes, noise))
    return passes


def _conditioning_weights(prior):
    return prior.conditioning.parameter_count() if prior.conditioning else 0


def work(prior, batch, first, rows, storage="float32", passes=None):
    """(operations, bytes of weights) that sampling `rows` rows from row `first` takes.

    Every weight of the stacks is multiplied once for each code and map. Those of a causal
    convolution's rows above and of the projected condition are read once for each row, the others
    once for each pass, whatever the batch. Without windows a pass is a position.
    """
    by_row, by_position = weights_read(prior)
    positions = rows * prior.size
    flops = 2 * batch * positions * (by_row + by_position)
    # Position p attends to p others, with one product for keys and one for values.
    start = first * prior.size
    others = sum(range(start, start + positions))
    flops += 2 * batch * others * _attention_width(prior)
    return flops, BYTES[storage] * (rows * by_row + (passes or positions) * by_position)


def weights_read(prior):
    """(weights read once for each row, once for each position)."""
    by_row = by_position = 0
    for name, parameter in prior.parameters().items():
        if parameter.ndim < 2 or name.endswith(".table") or name.startswith("conditioning."):
            continue
        above = 0
        if parameter.ndim == 3:  # taps of a causal convolution, k k / 2 of them
            kernel_size = round((2 * len(parameter)) ** 0.5)
            above = kernel_size // 2 * kernel_size * parameter.array[0].size
        elif name.endswith(".condition.weight"):
            above = parameter.size
        by_row += above
        by_position += parameter.size - above
    return by_row, by_position


def _attention_width(prior):
    """Channels of keys and values, summed over attention blocks."""
    parameters = prior.parameters().items()
    ends = (".keys.weight", ".values.weight")
    return sum(p.shape[-1] for name, p in parameters if name.endswith(ends))


def _decoding(preset_name, batch, scale="host"):
    tiny = scale == "tiny"
    config = training_case("autoencoder", scale).config if tiny else preset(preset_name).autoencoder
    model, rng = Autoencoder(config, QuickNormal()), np.random.default_rng(0)
    codes = {
        level: rng.integers(0, config.codebook_size, (batch, size, size))
        for level, size in zip(config.levels, config.latent_sizes, strict=True)
    }
    with counted() as count:
        model.decode(codes)
    return Subject(lambda: model.decode(codes), count.forward, units=batch, unit="image")
