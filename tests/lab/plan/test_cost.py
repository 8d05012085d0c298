"""Counted costs against real models: parameters exactly, memory of the tape, operations."""

import dataclasses

import numpy as np
import pytest

from backends import PRECISIONS
from tests.small import CONFIG
from vqv2.autodiff import Tensor
from vqv2.cli.info import print_parameters
from vqv2.cli.main import main
from vqv2.lab.plan import cost
from vqv2.lab.plan import device as plan
from vqv2.models.autoencoder import Autoencoder
from vqv2.presets import PRESETS
from vqv2.run import build_prior

COUNT, CLASSES = 3, 3
CONFIGS = {
    "small": CONFIG,
    "demo": PRESETS["demo"],
    "three levels": CONFIG.with_autoencoder(
        dataclasses.replace(CONFIG.autoencoder, image_size=32, latent_sizes=(4, 8, 16))
    ),
}


def models(config):
    """(model, its counted cost, a function that gives its loss on COUNT images) of all models."""
    rng, a = np.random.default_rng(0), config.autoencoder
    without = dataclasses.replace(a, level_dropout=0.0)
    autoencoder = Autoencoder(without, rng)
    images = rng.random((COUNT, a.image_size, a.image_size, 3), dtype=np.float32)
    yield autoencoder, cost.autoencoder(a), lambda: autoencoder.loss(images, rng)[0]
    codes = [rng.integers(0, a.codebook_size, (COUNT, s, s)) for s in a.latent_sizes]
    for i, level in enumerate(config.levels):
        prior = build_prior(config, level, CLASSES, 0)
        coarser = [(a.codebook_size, size) for size in a.latent_sizes[:i]]
        counted = cost.prior(
            config.prior(level), a.codebook_size, a.latent_sizes[i], coarser, CLASSES
        )
        inputs = (codes[i], np.zeros(COUNT, int), codes[:i])
        yield prior, counted, lambda p=prior, x=inputs: p.loss(*x, rng=rng)


def kept_bytes(loss):
    """Bytes of all arrays that the tape behind `loss` holds, by address."""
    found, seen, stack = {}, set(), [loss.node]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        _collect(node.gradient, found)
        for parent in node.parents:
            if parent is not None and parent.node is not None:
                stack.append(parent.node)
    return found


def _collect(value, found, depth=0):
    if isinstance(value, np.ndarray):
        while isinstance(value.base, np.ndarray):
            value = value.base
        found[id(value)] = value
    elif isinstance(value, tuple | list):
        for item in value:
            _collect(item, found, depth)
    elif isinstance(value, Tensor):
        _collect(value.array, found, depth)
    elif callable(value) and getattr(value, "__closure__", None) and depth < 4:
        for cell in value.__closure__:
            _collect(cell.cell_contents, found, depth + 1)


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_counted_exactly(name):
    for model, counted, _ in models(CONFIGS[name]):
        assert counted.parameters == model.parameter_count()


@pytest.mark.parametrize("name", CONFIGS)
def test_what_the_tape_keeps_is_predicted_within_a_twentieth(name):
    for model, counted, loss in models(CONFIGS[name]):
        own = {id(p.array) for p in model.parameters().values()}
        own |= {id(b) for b in model.buffers().values()}
        kept = sum(array.nbytes for key, array in kept_bytes(loss()).items() if key not in own)
        assert counted.activations * 4 * COUNT == pytest.approx(kept, rel=0.05)


def test_the_papers_sizes_are_those_of_its_models():
    """423 M and 436 M parameters with 1000 classes, as counted by hand, too."""
    top, bottom = PRESETS["imagenet256"].priors
    assert cost.prior(top, 512, 32, (), 1000).parameters == 423_180_288
    assert cost.prior(bottom, 512, 64, [(512, 32)], 1000).parameters == 435_600_384


@pytest.mark.parametrize("name", CONFIGS)
def test_info_counts_what_the_models_have(name, capsys):
    config = CONFIGS[name]
    print_parameters(config, CLASSES)
    lines = capsys.readouterr().out.splitlines()
    for level in config.levels:
        prior = build_prior(config, level, CLASSES, 0)
        rows = [*prior.parameter_table(), ("all", prior.parameter_count())]
        expected = {f"prior {level} {part} {count:,}" for part, count in rows}
        assert {" ".join(line.split()) for line in lines if f" {level} " in line} == expected


def test_sampling_reads_the_taps_of_the_current_row_for_every_position():
    layer = cost.causal_convolution(64, 5, True, 3, 7)
    assert layer.parameters == 13 * 3 * 7 + 7
    assert layer.streamed == 3 * 7 * (3 + 10 / 8)


def test_what_recomputation_keeps_is_predicted_rather_too_high():
    config = PRESETS["demo"]
    priors = [dataclasses.replace(prior, recompute=True) for prior in config.priors]
    autoencoder = dataclasses.replace(config.autoencoder, recompute=True)
    saving = dataclasses.replace(config, autoencoder=autoencoder, priors=tuple(priors))
    for model, counted, loss in models(saving):
        own = {id(p.array) for p in model.parameters().values()}
        own |= {id(b) for b in model.buffers().values()}
        kept = sum(array.nbytes for key, array in kept_bytes(loss()).items() if key not in own)
        predicted, _ = plan.per_image(counted, recomputed=True)
        assert 0.97 * kept < predicted * COUNT < 1.2 * kept


@pytest.mark.parametrize("precision", PRECISIONS)
def test_plan_knows_every_precision(precision, capsys):
    arguments = ["--preset", "imagenet256", "--device", "a100", "--precision", precision]
    assert main(["plan", *arguments]) == 0
    text = capsys.readouterr().out
    assert f"products in {precision}" in text
    without, saving = text.split("training without")[1].split("training with recompute=true")
    batches = [
        [int(line.split()[-3]) for line in part.splitlines() if line.startswith(("auto", "prior"))]
        for part in (without, saving)
    ]
    assert all(b > a > 0 for a, b in zip(*[found[:3] for found in batches], strict=True))


def test_plan_says_that_it_predicts(capsys):
    assert main(["plan", "--preset", "imagenet256", "--device", "h100", "--classes", "10"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("A PREDICTION for NVIDIA H100")
    assert "prior bottom" in text and "largest batch" in text
    assert main(["plan", "--preset", "ffhq1024", "--device", "rtx4090", "--batch", "1"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "imagenet", "--device", "a100"], "did you mean 'imagenet256'?"),
        (["--preset", "demo", "--device", "a1000"], "there is no device 'a1000'"),
        (["--preset", "demo", "--device", "a100", "--batch", "0"], "--batch 0"),
        (
            ["--preset", "demo", "--device", "a100", "--precision", "int8"],
            "one of float32, tf32, float16",
        ),
    ],
)
def test_wrong_requests_are_one_sentence(arguments, message, capsys):
    assert main(["plan", *arguments]) == 2
    assert message in capsys.readouterr().err
