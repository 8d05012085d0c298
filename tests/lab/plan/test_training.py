"""What a step takes on a device: parts that fit, ways to compute it, and what `plan` shows."""

import dataclasses
import json

import pytest

from backends import PRECISIONS
from tests.small import CONFIG
from vqv2.cli.info import print_parameters
from vqv2.cli.main import main
from vqv2.lab import counting
from vqv2.lab.plan import roofline, training
from vqv2.lab.plan.device import DEVICES, Device
from vqv2.lab.plan.models import models
from vqv2.presets import PRESETS
from vqv2.run import build_prior

CLASSES = 3
CASE = models(CONFIG, CLASSES)["prior top"]


def device(memory):
    """One whose pool may take so many bytes."""
    total = (memory + training.CONTEXT) / training.LIMIT
    return Device("small", total, 1e12, 1e12, 1e12, 1e11, "pcie4", (9, 0))


def needed(images, recompute=False):
    case = training.with_recompute(dataclasses.replace(CASE, batch=images), recompute)
    return counting.training_step(case).pooled


@pytest.mark.parametrize("images", [1, 4, 16, 64])
def test_the_largest_part_that_fits_is_found(images):
    assert training.largest_part(CASE, 64, "float32", needed(images)) == images
    assert training.largest_part(CASE, 64, "float32", needed(images) - 1) < max(2, images)


def test_a_share_that_fits_is_computed_at_once():
    (way,) = training.ways(CASE, 64, device(needed(64)), "float32")
    assert way.parts == 1 and way.fits and not way.recompute


def test_parts_are_compared_with_recomputation():
    plain, recomputed = training.ways(CASE, 64, device(needed(32, recompute=True)), "float32")
    assert (plain.parts, plain.recompute, recomputed.recompute) == (4, False, True)
    assert recomputed.parts == 2 and recomputed.fits
    nothing = training.ways(CASE, 64, device(1000), "float32")
    assert not any(way.fits for way in nothing)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", models(CONFIG, CLASSES))
def test_recomputation_runs_in_every_precision(name, precision):
    """On a device, where what a layer returns may be held in 16 bits."""
    case = models(CONFIG, CLASSES)[name]
    plain, recomputed = (
        counting.training_step(training.with_recompute(case, again), precision)
        for again in (False, True)
    )
    assert recomputed.operations > plain.operations


def test_a_step_in_parts_runs_adam_once():
    counts = counting.training_step(CASE)
    on = device(2**30)
    adam = {launch: n for launch, n in counts.launches.items() if launch.family == "Adam"}
    once = training.step_seconds(counts, 1, on, "float32")
    four = training.step_seconds(counts, 4, on, "float32")
    assert four == pytest.approx(4 * once - 3 * roofline.seconds(adam, on, "float32"))


def test_the_papers_sizes_are_those_of_its_models():
    """423 M and 436 M parameters with 1000 classes, as counted by hand, too."""
    found = models(PRESETS["imagenet256"], 1000)
    assert counting.model(found["prior top"]).parameter_count() == 423_180_288
    assert counting.model(found["prior bottom"]).parameter_count() == 435_600_384


def test_info_counts_what_the_models_have(capsys):
    print_parameters(CONFIG, CLASSES)
    lines = capsys.readouterr().out.splitlines()
    for level in CONFIG.levels:
        prior = build_prior(CONFIG, level, CLASSES, 0)
        rows = [*prior.parameter_table(), ("all", prior.parameter_count())]
        expected = {f"prior {level} {part} {count:,}" for part, count in rows}
        assert {" ".join(line.split()) for line in lines if f" {level} " in line} == expected


def test_a_device_computes_in_what_suits_it_unless_a_precision_is_named():
    found = {name: on.precision("auto") for name, on in DEVICES.items()}
    old = {"v100", "t4"}
    assert found == {name: "float16" if name in old else "bfloat16" for name in DEVICES}
    assert DEVICES["h100"].precision("tf32") == "tf32"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_plan_knows_every_precision_and_says_that_it_predicts(precision, capsys):
    arguments = ["--preset", "demo", "--device", "h100", "--precision", precision]
    assert main(["plan", *arguments]) == 0
    text = capsys.readouterr().out
    assert text.startswith("A PREDICTION for NVIDIA H100")
    assert f"products in {precision}" in text
    assert "training on 1 device:" in text and "8 devices" not in text  # batches of 4
    assert "images/s" in text and "what is assumed" in text


def test_plan_advises_parts_where_recomputing_is_slower(capsys):
    """The top prior alone: at full size, on one device."""
    case = models(PRESETS["imagenet256"], 1000)["prior top"]
    on = Device("80 GB", 80e9, 67e12, 494e12, 989e12, 3.35e12, "nvlink4", (9, 0))
    plain, recomputed = training.ways(case, 256, on, "bfloat16")
    assert plain.parts == 2 and recomputed.parts == 1
    assert plain.seconds < 0.8 * recomputed.seconds


def test_measured_figures_change_the_prediction(tmp_path, capsys):
    path = tmp_path / "speed.jsonl"
    path.write_text(json.dumps({"name": "fold", "ms": 1.0, "GB/s": 335.0}))
    arguments = ["plan", "--preset", "demo", "--device", "h100", "--devices", "1"]
    assert main([*arguments, "--measured", str(path)]) == 0
    row = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("fold"))
    assert row.split()[1:3] == ["0.1", "335"] and "measured: speed.jsonl" in row


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "imagenet", "--device", "a100"], "did you mean 'imagenet256'?"),
        (["--preset", "demo", "--device", "a1000"], "there is no device 'a1000'"),
        (["--preset", "demo", "--device", "a100", "--batch", "0"], "--batch 0"),
        (["--preset", "demo", "--device", "a100", "--measured", "none"], "cannot be read"),
        (["--preset", "demo", "--device", "a100", "--devices", "7"], "among 7 devices"),
        (
            ["--preset", "demo", "--device", "a100", "--precision", "int8"],
            "one of auto, float32, tf32, float16",
        ),
        (
            ["--preset", "demo", "--device", "t4", "--precision", "bfloat16"],
            "T4 16 GB has no products in bfloat16: choose float16",
        ),
    ],
)
def test_wrong_requests_are_one_sentence(arguments, message, capsys):
    assert main(["plan", *arguments]) == 2
    assert message in capsys.readouterr().err
