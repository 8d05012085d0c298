"""The benchmarks themselves: which rows each one has. All yield a `Row` as soon as it is measured.

`settings` says how to measure, `limits` what the machine can do (`measure.py`).
"""

import dataclasses
import itertools

from vqv2.lab.bench import kernels as kernel_cases
from vqv2.lab.bench.cases import training_case
from vqv2.lab.bench.measure import compare, compare_in_sequence, total, workers
from vqv2.lab.bench.sample import level_case
from vqv2.presets import preset

TURN = 0.1  # seconds for which each side runs a kernel again and again
TRAINED = ("autoencoder", "prior", "conditioned prior")


def kernels(settings, limits):
    """Every kernel family, forward and backward."""
    fill = 0.0 if settings.scale == "tiny" else TURN
    with workers(settings) as pair:
        for name in filter(settings.wants, kernel_cases.names()):
            arguments = ("kernels", name, {"scale": settings.scale}, settings, limits)
            yield compare(pair, *arguments, fill=fill)


def train(settings, limits, precision="float32"):
    """Whole training steps: forward, backward, Adam with Polyak averaging."""
    options = {"scale": settings.scale}
    if precision != "float32":
        options["settings"] = {"precision": precision}
    for name in filter(settings.wants, TRAINED):
        if settings.scale == "device":  # a device may not hold two such models at a time
            yield compare_in_sequence("train", name, options, settings, limits)
            continue
        with workers(settings) as pair:
            yield compare(pair, "train", name, options, settings, limits)


def memory(settings, limits, full=False):
    """Training steps for their memory: each side alone in a fresh process, plain and recomputed.

    `full` adds one step of Table 1's top prior at batch 1, ours only: it takes 10 GB and minutes.
    """
    for name in filter(settings.wants, TRAINED):
        for recomputed in _recomputation(name, settings.scale):
            options = {"scale": settings.scale, "settings": recomputed}
            title = f"{name}, recomputed" if recomputed else name
            yield compare_in_sequence("train", name, options, settings, limits, title)
    if full:
        once = dataclasses.replace(settings, repetitions=1, warmup=0, peer=None)
        name = "full-size prior"
        recomputed = _recomputation(name, settings.scale)[-1]
        options = {"scale": settings.scale, "settings": recomputed}
        yield compare_in_sequence("train", name, options, once, limits)


def _recomputation(name, scale):
    """Settings of a case without and, where its configuration can, with recomputation."""
    config = training_case(name, scale).config
    can = "recompute" in {field.name for field in dataclasses.fields(config)}
    return ({}, {"recompute": True}) if can else ({},)


def sample(
    settings,
    limits,
    preset_name,
    classes=0,
    batches=(1,),
    fraction=0.05,
    storages=("float32",),
):
    """Sampling a preset with random weights, coarse to fine, then decoding; and their sum."""
    for batch, storage in itertools.product(batches, storages):
        options = {"fraction": fraction, "storage": storage}
        yield from _hierarchy(settings, limits, preset_name, classes, batch, options)


def _hierarchy(settings, limits, preset_name, classes, batch, options):
    levels = preset(preset_name).levels
    if settings.scale == "tiny":
        levels = ("top", "bottom")
    rows, kind = [], f"batch {batch}, {options['storage']}"
    for level in levels:
        model = {"preset_name": preset_name, "level": level, "classes": classes}
        model |= {"batch": batch, "scale": settings.scale}
        size = level_case(**model).size
        with workers(settings) as pair:
            arguments = ({"model": model, **options}, settings, limits)
            title = f"{level} {size}x{size}, {kind}"
            rows.append(compare(pair, "sample", "map", *arguments, title))
        yield rows[-1]
    rows.append(_decoding(preset_name, batch, settings, limits))
    yield rows[-1]
    yield total(f"all, {kind}", rows, batch, "image")


def _decoding(preset_name, batch, settings, limits):
    alone = dataclasses.replace(settings, peer=None)
    model = {"preset_name": preset_name, "batch": batch, "scale": settings.scale}
    with workers(alone) as pair:
        arguments = ({"model": model}, alone, limits, f"decoding, batch {batch}")
        return compare(pair, "sample", "decode", *arguments)


def encode(settings, limits, preset_name, batches=(4,)):
    """Images to the codes of all levels of a preset, with random weights. Ours only."""
    alone = dataclasses.replace(settings, peer=None)
    for batch in batches:
        options = {"preset_name": preset_name, "batch": batch, "scale": settings.scale}
        with workers(alone) as pair:
            arguments = (options, alone, limits, f"encoding, batch {batch}")
            yield compare(pair, "encode", "codes", *arguments)


# `scaling` changes one of these at a time from `_BASE`.
GROWTH = {
    "batch": [{"batch": n} for n in (1, 2, 4, 8)],
    "hidden units": [
        {"settings": {"hidden_units": n, "residual_units": 4 * n}} for n in (64, 128, 256)
    ],
    "layers": [{"settings": {"layers": n, "attention_layers": n // 5}} for n in (5, 10, 20)],
    "map size": [{"size": n} for n in (16, 32, 64)],
    "map size, no attention": [
        {"size": n, "settings": {"attention_layers": 0}} for n in (16, 32, 64)
    ],
}
_BASE = {
    "batch": 1,
    "size": 32,
    "settings": {
        "hidden_units": 64,
        "residual_units": 256,
        "layers": 10,
        "attention_layers": 2,
        "output_stack_layers": 4,
    },
}
_TINY_BASE = {"batch": 1, "size": 8, "settings": {}}
_TINY_GROWTH = {"batch": [{"batch": n} for n in (1, 2)]}


def scaling(settings, limits, fraction=0.1):
    """A small Table-1-shaped prior: how a training step and a sampled code grow; then threads."""
    for what, changes in (_TINY_GROWTH if settings.scale == "tiny" else GROWTH).items():
        for change in changes:
            model = _changed(change, settings.scale)
            value = _value(what, model)
            with workers(settings) as pair:
                arguments = (model, settings, limits, f"step, {what} {value}")
                yield compare(pair, "train", "prior", *arguments)
            yield _sampling(model, f"sampling, {what} {value}", settings, limits, fraction)
    for threads in sorted({1, settings.threads}):
        model = _changed({}, settings.scale)
        fewer = dataclasses.replace(settings, threads=threads)
        with workers(fewer) as pair:
            arguments = (model, fewer, limits, f"step, threads {threads}")
            yield compare(pair, "train", "prior", *arguments)
        yield _sampling(model, f"sampling, threads {threads}", fewer, limits, fraction)


def _sampling(model, title, settings, limits, fraction):
    """A row of sampling, for one code: seconds of the map over its positions. Ours only."""
    alone = dataclasses.replace(settings, peer=None)
    with workers(alone) as pair:
        options = {"model": {"case": "prior", **model}, "fraction": fraction}
        row = compare(pair, "sample", "map", options, alone, limits, title)
    size = training_case("prior", **model).size
    return dataclasses.replace(row, units=row.units * size**2, unit="code")


def _changed(change, scale):
    base = _TINY_BASE if scale == "tiny" else _BASE
    changed_settings = base["settings"] | change.get("settings", {})
    return {**base, **change, "settings": changed_settings, "scale": scale}


def _value(what, model):
    if what == "batch":
        return model["batch"]
    if what.startswith("map size"):
        return model["size"]
    return model["settings"][what.replace(" ", "_")]
