"""`vqv2 bench` at tiny sizes: every benchmark gives rows and JSON, and says what it cannot do."""

import json
import subprocess
import sys

import pytest

import backends
from vqv2 import cli
from vqv2.cli.main import main
from vqv2.errors import InputError
from vqv2.lab.bench import benchmarks, cases, kernels
from vqv2.lab.bench.measure import Limits, Settings, make_row

pytestmark = pytest.mark.thorough

REQUIRED = {"name", "ours_s", "peer_s", "ratio", "threads", "peak_bytes"}
ROWS = {
    "kernels": list(kernels.names()),
    "train": ["autoencoder", "prior", "conditioned prior"],
    "memory": ["autoencoder", "prior", "conditioned prior", "full-size prior"],
    "sample": [
        *(f"{what}, batch 2, bfloat16" for what in ("top 8x8", "bottom 8x8", "all")),
        "decoding, batch 2",
    ],
    "encode": ["encoding, batch 1", "encoding, batch 2"],
    "scaling": ["step, batch 1", "sampling, batch 1", "step, threads 1", "sampling, threads 1"],
}
MORE = {
    "memory": ["--full"],
    "sample": ["--batch", "2", "--storage", "bfloat16"],
    "train": ["--precision", "bfloat16"],
    "encode": ["--batch", "1,2", "--busy", "1"],
}
BRIEFLY = ("--quick", "--repetitions", "1", "--warmup", "0", "--threads", "1")


def bench(*arguments):
    return main(["bench", *map(str, arguments)])


@pytest.mark.parametrize("name", ROWS)
def test_rows_and_json(name, tmp_path, capsys):
    path = tmp_path / "rows.json"
    assert bench(name, *BRIEFLY, *MORE.get(name, ()), "--json", path) == 0
    content = json.loads(path.read_text())
    printed = capsys.readouterr().out
    names = [row["name"] for row in content["rows"]]
    assert set(ROWS[name]) <= set(names)
    for row in content["rows"]:
        assert set(row) >= REQUIRED
        assert row["ours_s"] > 0
        assert (row["peer_s"], row["ratio"], row["threads"]) == (None, None, 1)
        assert row["name"] in printed
    assert content["limits"]["flops_per_s"] > 0
    assert content["machine"]["cores"] > 0


@pytest.mark.parametrize("table", [cases.CASES, kernels.CASES])
def test_every_scale_has_the_same_cases(table):
    assert tuple(table) == cases.SCALES
    assert len({tuple(sorted(named)) for named in table.values()}) == 1


def test_peer_takes_part(tmp_path):
    pytest.importorskip("torch", reason="the peer needs PyTorch: pip install -e '.[bench]'")
    path = tmp_path / "rows.json"
    assert bench("train", *BRIEFLY, "--peer", "torch", "--json", path) == 0
    for row in json.loads(path.read_text())["rows"]:
        assert row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"])


def test_a_missing_peer_is_one_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert bench("kernels", *BRIEFLY, "--peer", "torch") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error == (
        'vqv2: the peer needs PyTorch, which is not installed: pip install -e ".[bench]"'
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("train", "--threads", "0"), "--threads 0"),
        (("kernels", "--repetitions", "0"), "--repetitions 0"),
        (("sample", *BRIEFLY, "--fraction", "2"), "--fraction 2"),
        (("sample", *BRIEFLY, "--batch", "two"), "--batch two"),
        (("sample", *BRIEFLY, "--batch", "0"), "--batch 0"),
        (("kernels", *BRIEFLY, "--only", "fft"), "--only fft"),
        (("kernels", *BRIEFLY, "--peer", "torch-compiled"), "does not measure 'kernels'"),
        (("train", *BRIEFLY, "--peer", "torch", "--precision", "tf32"), "--precision tf32"),
        (("first-use", "--repetitions", "0"), "--repetitions 0"),
    ],
)
def test_bad_input_is_one_sentence(arguments, named, capsys):
    assert bench(*arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("vqv2: ")
    assert named in error


def test_rows_are_kept_when_a_later_one_fails(tmp_path, monkeypatch):
    settings, limits = Settings(threads=1), Limits(1.0, 1.0)

    def rows(*_):
        yield make_row("prior", [[1.0]], [7], {"flops": 0, "bytes": 0}, settings, limits)
        raise InputError("not enough memory")

    monkeypatch.setattr(benchmarks, "train", rows)
    monkeypatch.setattr(cli.bench, "measure_limits", lambda *_: limits)
    path = tmp_path / "rows.json"
    assert bench("train", *BRIEFLY, "--json", path) == 2
    assert [row["name"] for row in json.loads(path.read_text())["rows"]] == ["prior"]


def test_models_that_fill_a_device_are_measured_one_after_the_other(monkeypatch):
    monkeypatch.setattr(benchmarks, "compare_in_sequence", lambda suite, name, *_: name)
    rows = benchmarks.train(Settings(threads=1, scale="device"), None, "bfloat16")
    assert tuple(rows) == benchmarks.TRAINED


def test_first_use(capsys):
    assert bench("first-use", "--repetitions", 1) == 0
    assert "import vqv2" in capsys.readouterr().out


def test_only_the_peer_imports_torch():
    code = "import sys, vqv2.cli.bench, vqv2.lab.bench.train; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", ["kernels", "train", "memory", "sample", "scaling"])
def test_a_missing_device_is_one_sentence(name, capsys):
    reason = backends.why_unavailable("cupy")
    if reason is None:
        pytest.skip("there is a device here")
    assert main(["--backend", "cupy", "bench", name, *BRIEFLY]) == 2
    assert capsys.readouterr().err.strip().splitlines() == [f"vqv2: {reason}"]
