"""Figures on several pages are those that the code counts, or that one table has measured."""

import re
from pathlib import Path

import pytest

from vqv2.lab import counting
from vqv2.lab.plan.models import models
from vqv2.presets import PRESETS

ROOT = Path(__file__).parents[1]
CLASSES = 1000


def found(file, pattern):
    """The numbers that a pattern finds in a file, once."""
    places = re.findall(pattern, " ".join((ROOT / file).read_text().split()))
    assert len(places) == 1, f"{file} has {len(places)} places like {pattern!r}"
    numbers = places[0] if isinstance(places[0], tuple) else (places[0],)
    return [float(number) for number in numbers]


def millions(name):
    """Parameters of one of the paper's models for ImageNet."""
    case = models(PRESETS["imagenet256"], CLASSES)[name]
    return counting.model(case).parameter_count() / 1e6


@pytest.mark.parametrize(
    ("file", "pattern", "levels"),
    [
        ("docs/performance.md", r"Table 1, (\d+) M \+ (\d+) M parameters", ("top", "bottom")),
        ("examples/train_imagenet256.py", r"about (\d+) and (\d+) million", ("top", "bottom")),
        ("vqv2/nn/residual.py", r"about (\d+) M parameters for Table 1's top prior", ("top",)),
        ("vqv2/lab/bench/weights.py", r"full-size prior draws (\d+) M normal", ("top",)),
    ],
)
def test_parameters_of_the_full_size_priors(file, pattern, levels):
    assert found(file, pattern) == [round(millions(f"prior {level}")) for level in levels]


def test_parameters_of_the_whole_hierarchy():
    whole = sum(map(millions, ("autoencoder", "prior top", "prior bottom")))
    assert found("README.md", r"\((\d+) million parameters\)") == [pytest.approx(whole, abs=5)]


def test_the_ratios_of_the_readme_are_those_of_the_performance_page():
    text = (ROOT / "docs/performance.md").read_text()
    rows = re.findall(r"^\| (.*prior, .*batch.*) \| .* \| .* \| ([\d.]+) \| .* \|$", text, re.M)
    ratios = [float(ratio) for _, ratio in rows]
    ratios += found("docs/performance.md", r"its ratio was ([\d.]+) to ([\d.]+) in eight runs")
    low, high = found("README.md", r"step of a prior takes ([\d.]+) to ([\d.]+) times as long")
    assert [low, high] == [round(1 / max(ratios), 2), round(1 / min(ratios), 2)]
    others = found("docs/performance.md", r"The autoencoder's was ([\d.]+) to ([\d.]+)\.")
    stated = found("README.md", r"one of the autoencoder ([\d.]+) to ([\d.]+) times")
    assert stated == [round(1 / max(others), 2), round(1 / min(others), 2)]
