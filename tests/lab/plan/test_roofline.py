"""Seconds of counted work: by hand, at assumed shares and at measured ones."""

import json

import pytest

from backends.shapes import TRANSFERS, Launch
from tests.device.count import BUDGETS
from vqv2.errors import InputError
from vqv2.lab.plan import measured, roofline
from vqv2.lab.plan.device import Device
from vqv2.lab.plan.roofline import Share

ON = Device("a device", 10e9, 1e12, 2e12, 4e12, 1e11, "pcie4", (9, 0))  # 100 GB/s
SHARES = {
    "elementwise": Share(0.5),
    "products, float32": Share(1, 0.5),
    "products, half": Share(1, 0.25),
    "attention": Share(1, 0.1),
}


def seconds(launch, precision="float32"):
    """Without what lies between two kernels."""
    return roofline.device_seconds({launch: 1}, ON, precision, SHARES) - roofline.START


def test_a_launch_takes_as_long_as_its_bytes_or_its_operations():
    assert seconds(Launch("elementwise", "elu", 3e9, 2e9)) == pytest.approx(5 / (0.5 * 100))
    product = Launch("products", "product", 1e9, 1e9, 1e12)
    assert seconds(product) == pytest.approx(1 / 0.5)
    assert seconds(product, "bfloat16") == pytest.approx(1 / (0.25 * 4))
    assert seconds(Launch("products", "product", 1e11, 0, 1)) == pytest.approx(1)
    heads = Launch("attention", "attention", 1, 1, 1e11)
    assert seconds(heads, "bfloat16") == pytest.approx(1)  # in float32, whatever products are


def test_many_small_launches_take_as_long_as_the_host_starts_them():
    small, copy = Launch("elementwise", "elu", 4, 4), Launch(TRANSFERS, "to the host", 4, 0)
    assert roofline.seconds({small: 100, copy: 9}, ON, "float32", SHARES) == pytest.approx(
        100 * roofline.HOST
    )
    alone = roofline.device_seconds({small: 100}, ON, "float32", SHARES)
    assert alone == pytest.approx(100 * roofline.START, rel=0.01)


def test_every_family_that_the_papers_models_need_has_a_share():
    counted = json.loads(BUDGETS.read_text())
    families = {family for counts in counted.values() for family in counts["bytes"]}
    for family in families - {TRANSFERS}:
        for precision in ("float32", "tf32", "float16", "bfloat16"):
            assert 0 < roofline.share_of(family, precision, roofline.ASSUMED).bandwidth <= 1


LINES = [
    {"section": "kernels", "name": "elu", "ms": 1.0, "GB/s": 80.0},
    {"section": "kernels", "name": "gate", "ms": 3.0, "GB/s": 40.0},
    {"section": "kernels", "name": "affine_at float32 1 1536 2048", "ms": 1.0, "GB/s": 30.0},
    {
        "section": "ceilings",
        "name": "product 8192 8192 8192",
        "precision": "bfloat16",
        "ms": 1.0,
        "TFLOP/s": 3.0,
    },
    {
        "section": "ceilings",
        "name": "product 48 2097152 64",
        "precision": "bfloat16",
        "ms": 1.0,
        "TFLOP/s": 0.1,
    },
    {"section": "kernels", "name": "fold", "error": "out of memory"},
    {"section": "kernels", "name": "end", "seconds": 9.0},
]


def test_measured_lines_take_the_place_of_what_is_assumed(tmp_path):
    path = tmp_path / "speed.jsonl"
    path.write_text("\n".join(map(json.dumps, LINES)) + '\n{"section": "ker')
    found = measured.shares(path, ON)
    assert found["elementwise"].bandwidth == pytest.approx((80 * 1 + 40 * 3) / 4 / 100)
    assert found["elementwise"].source == "measured: speed.jsonl"
    assert found["products, half"].speed == pytest.approx(3 / 4)  # the other is bound by bytes
    assert found["sampling"].bandwidth == pytest.approx(0.3)
    others = {"elementwise", "products, half", "sampling"}
    for family in roofline.ASSUMED.keys() - others:
        assert found[family] == roofline.ASSUMED[family]


def test_a_file_without_figures_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        measured.shares(tmp_path / "none.jsonl", ON)
    path = tmp_path / "other.jsonl"
    path.write_text("[1]\nno json\n")
    with pytest.raises(InputError, match="no figure of a kernel"):
        measured.shares(path, ON)


@pytest.mark.parametrize(
    "line",
    [
        {"name": "fold", "ms": 1, "GB/s": "fast"},
        {"name": "fold", "ms": 1, "GB/s": 0},
        {"name": "fold", "ms": float("nan"), "GB/s": 3},
        {"name": "fold", "ms": None, "GB/s": 3},
        {"name": "product 900 900 900", "precision": "int8", "ms": 1, "TFLOP/s": 2},
        {"name": "product 900 900 900", "precision": ["tf32"], "ms": 1, "TFLOP/s": 2},
        {"name": "product a b c", "ms": 1, "TFLOP/s": 2},
    ],
)
def test_nonsense_is_not_taken_for_a_measurement(line, tmp_path):
    path = tmp_path / "speed.jsonl"
    path.write_text(json.dumps(line))
    with pytest.raises(InputError, match="measured|no figure"):
        measured.shares(path, ON)
