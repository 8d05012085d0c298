"""The demo, with three steps per stage: what it leaves, and going on after an interruption."""

import pytest
from PIL import Image

from vqv2.cli.main import main
from vqv2.errors import InputError
from vqv2.lab import demo
from vqv2.run import Run, pretrained
from vqv2.run.compact import compact


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "QUICK_STEPS", {"autoencoder": 3, "top": 3, "bottom": 3})
    monkeypatch.setattr(demo, "PER_CLASS", 1)
    monkeypatch.setattr(demo, "FIGURES", 16)
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "pretrained")


def test_the_demo_leaves_pictures_and_a_page(tiny, tmp_path, capsys):
    folder = tmp_path / "demo"
    assert main(["demo", "--quick", "--out", str(folder)]) == 0
    printed = capsys.readouterr().out
    for words in ("PSNR", "perplexity", "log K", "unigram", "top + bottom", "report.html"):
        assert words in printed
    assert f"vqv2 play {folder}" in printed
    for name in ("samples", "reconstructions", "rate-distortion", "usage", "curves"):
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) > 100
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert "http" not in page.replace("http-equiv", "")
    assert "nats/code" in page and "PSNR" in page

    assert "After longer training" not in page

    compact(Run.open(folder), tmp_path / "pretrained" / "emoji")
    (folder / "prior-bottom" / "checkpoint.safetensors").unlink()
    before = (folder / "prior-top" / "checkpoint.safetensors").read_bytes()
    demo.run_demo(folder, quick=True)
    assert "Going on" in capsys.readouterr().out
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert page.index("<h2>Samples") < page.index("<h2>After longer") < page.index("<h2>Recons")
    assert (folder / "prior-top" / "checkpoint.safetensors").read_bytes() == before
    assert (folder / "prior-bottom" / "checkpoint.safetensors").exists()

    with pytest.raises(InputError, match="another run"):
        demo.run_demo(folder, quick=False)
