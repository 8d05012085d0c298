"""The demo, with three steps per stage: what it leaves, and going on after an interruption."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.small import train_all
from vqv2.cli.main import main
from vqv2.errors import InputError
from vqv2.hierarchy import Hierarchy
from vqv2.lab import demo
from vqv2.lab.report.sections.subject import Options, Subject
from vqv2.run import pretrained
from vqv2.run.compact import compact
from vqv2.training import Schedule


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(demo, "QUICK_STEPS", {"autoencoder": 3, "top": 3, "bottom": 3})
    monkeypatch.setattr(demo, "PER_CLASS", 1)
    monkeypatch.setattr(demo, "FIGURES", 16)
    monkeypatch.setattr(pretrained, "FOLDER", Path("nowhere"))


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

    (folder / "prior-bottom" / "checkpoint.safetensors").unlink()
    before = (folder / "prior-top" / "checkpoint.safetensors").read_bytes()
    demo.run_demo(folder, quick=True)
    assert "Going on" in capsys.readouterr().out
    assert (folder / "prior-top" / "checkpoint.safetensors").read_bytes() == before
    assert (folder / "prior-bottom" / "checkpoint.safetensors").exists()

    with pytest.raises(InputError, match="another run"):
        demo.run_demo(folder, quick=False)


def test_what_was_trained_for_longer_stands_beside_the_demos_own_samples(tmp_path, monkeypatch):
    run, _ = train_all(tmp_path, Schedule(progress=False))
    hierarchy = Hierarchy.load(run.folder)
    monkeypatch.setattr(demo, "PER_CLASS", 2)
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "pretrained")
    subject = Subject(run, hierarchy, {}, None, tmp_path, Options(seed=3))
    assert demo.samples_of_longer(subject) == []
    compact(run, tmp_path / "pretrained" / "emoji")
    drawn = []
    monkeypatch.setattr(Hierarchy, "sample", lambda self, *arguments, **how: drawn.append(
        (self.identity, arguments, how["temperature"])) or np.zeros((6, 16, 16, 3)))  # fmt: skip
    [section] = demo.samples_of_longer(subject)
    identity = Hierarchy.load(tmp_path / "pretrained" / "emoji").identity
    labels = ["0", "0", "1", "1", "2", "2"]
    assert drawn == [(identity, (6, labels, 3), {"top": 0.8, "bottom": 0.6})]
    with Image.open(section.pictures[0][0]) as picture:
        assert min(picture.size) > 100
