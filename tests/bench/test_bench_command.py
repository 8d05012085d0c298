"""`vqv2 bench` at tiny sizes: every benchmark gives rows and JSON, and says what it cannot do."""

import json
import subprocess
import sys

import pytest

import backends
from vqv2 import cli
from vqv2.bench import kernels

REQUIRED = {"name", "ours_s", "peer_s", "ratio", "threads", "peak_bytes"}
ROWS = {
    "kernels": list(kernels.names()),
    "train": ["autoencoder", "prior", "conditioned prior"],
    "memory": ["autoencoder", "prior", "conditioned prior", "full-size prior"],
    "sample": [
        *(f"{what}, batch 2, bfloat16" for what in ("top 8x8", "bottom 8x8", "all")),
        *(f"{what}, batch 2, bfloat16, window 4" for what in ("top 8x8", "bottom 8x8", "all")),
        "decoding, batch 2",
    ],
    "encode": ["encoding, batch 1", "encoding, batch 2"],
    "scaling": ["step, batch 1", "sampling, batch 1", "step, threads 1", "sampling, threads 1"],
}
MORE = {
    "memory": ["--full"],
    "sample": ["--batch", "2", "--storage", "bfloat16", "--window", "1,4"],
    "train": ["--precision", "bfloat16"],
    "encode": ["--batch", "1,2"],
}
BRIEFLY = ("--quick", "--repetitions", "1", "--warmup", "0", "--threads", "1")


def bench(*arguments):
    return cli.main(["bench", *map(str, arguments)])


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
        (("sample", *BRIEFLY, "--window", "0"), "--window 0"),
        (("sample", *BRIEFLY, "--window", "1,wide"), "--window 1,wide"),
        (("kernels", *BRIEFLY, "--only", "fft"), "--only fft"),
        (("first-use", "--repetitions", "0"), "--repetitions 0"),
    ],
)
def test_bad_input_is_one_sentence(arguments, named, capsys):
    assert bench(*arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("vqv2: ")
    assert named in error


def test_first_use(capsys):
    assert bench("first-use", "--repetitions", 1) == 0
    assert "import vqv2" in capsys.readouterr().out


def test_only_the_peer_imports_torch():
    code = "import sys, vqv2.commands.bench, vqv2.bench.train; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", ["kernels", "train", "memory", "sample", "scaling"])
def test_a_missing_device_is_one_sentence(name, capsys):
    reason = backends.why_unavailable("cupy")
    if reason is None:
        pytest.skip("there is a device here")
    assert cli.main(["--backend", "cupy", "bench", name, *BRIEFLY]) == 2
    assert capsys.readouterr().err.strip().splitlines() == [f"vqv2: {reason}"]
