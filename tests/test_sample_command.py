"""`vqv2 sample` and its kind: batch by batch, interrupted, from the top alone, absurd amounts."""

import shutil

import numpy as np
import pytest

import vqv2.hierarchy
from tests.small import train_all, write_images
from vqv2 import Hierarchy, pictures
from vqv2.cli.main import main
from vqv2.data.array import ArrayImages
from vqv2.lab.interchange import write_weights
from vqv2.lab.report.sections.subject import Options, Subject
from vqv2.run import checkpoint
from vqv2.training import Schedule

SAMPLE = ("--count", 10, "--batch", 4, "--seed", 3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder with everything trained for a few steps, and its sources."""
    run, sources = train_all(tmp_path_factory.mktemp("trained"), Schedule(progress=False))
    return run.folder, sources


@pytest.fixture
def copy(trained, tmp_path):
    shutil.copytree(trained[0], tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def interrupt(monkeypatch):
    """interrupt(n): the n-th map that is drawn from now on is not, but Ctrl-C is."""

    def after(maps):
        left, draw = [maps], vqv2.hierarchy.sample_codes

        def sample_codes(*arguments):
            left[0] -= 1
            if not left[0]:
                monkeypatch.setattr(vqv2.hierarchy, "sample_codes", draw)
                raise KeyboardInterrupt
            return draw(*arguments)

        monkeypatch.setattr(vqv2.hierarchy, "sample_codes", sample_codes)

    return after


def run_vqv2(*arguments):
    return main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    """The one sentence with which the command line refuses."""
    assert run_vqv2(*arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("vqv2: ")
    return error


@pytest.mark.parametrize("ending", [".npz", ".png"])
def test_an_interrupted_command_goes_on_in_other_batches(
    trained, tmp_path, capsys, interrupt, ending
):
    run, whole, out = trained[0], tmp_path / f"whole{ending}", tmp_path / f"out{ending}"
    assert run_vqv2("sample", run, *SAMPLE, "--out", whole) == 0
    kept = tmp_path / f"out{ending}.codes.partial"
    interrupt(4)  # in the second batch: a map of each level in the first
    assert run_vqv2("sample", run, *SAMPLE, "--out", out) == 130
    assert f"what was drawn is kept in {kept}: the same command goes" in capsys.readouterr().err
    assert kept.exists() and not out.exists()
    error = refused(capsys, "sample", run, *SAMPLE, "--temperature", 0.5, "--out", out)
    assert f"{kept} holds samples that were drawn with another temperature: give" in error
    interrupt(5)  # of the eight that would be drawn from the beginning: it does not come to that
    assert run_vqv2("sample", run, *SAMPLE, "--batch", 3, "--out", out) == 0
    assert "4 of 10 samples were drawn before" in capsys.readouterr().out
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted((whole, out))


def test_what_is_drawn_outlives_a_failure_to_write_it(trained, tmp_path, capsys, monkeypatch):
    run, out, full = trained[0], tmp_path / "out.npz", OSError(28, "No space left on device")
    with monkeypatch.context() as patch:
        patch.setattr("vqv2.data.save.zipfile.ZipFile", lambda *_: (_ for _ in ()).throw(full))
        error = refused(capsys, "sample", run, *SAMPLE, "--out", out)
    assert "cannot write" in error and "No space left" in error
    monkeypatch.setattr(vqv2.hierarchy, "sample_codes", None)  # nothing is drawn again
    assert run_vqv2("sample", run, *SAMPLE, "--out", out) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]


def test_nothing_is_left_where_nothing_was_drawn(trained, tmp_path, capsys, interrupt):
    interrupt(1)
    assert run_vqv2("sample", trained[0], *SAMPLE, "--out", tmp_path / "out.npz") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "vqv2: interrupted"
    bad = ("--temperature", -1)
    refused(capsys, "sample", trained[0], *SAMPLE, *bad, "--out", tmp_path / "out.npz")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out.npz.codes").mkdir()  # somebody else's
    error = refused(capsys, "sample", trained[0], *SAMPLE, "--out", tmp_path / "out.npz")
    assert "out.npz.codes holds samples that were drawn with another" in error


def test_a_batch_is_held_at_a_time(trained, tmp_path, monkeypatch):
    decoded, decode = [], Hierarchy.decode

    def watched(self, codes, *arguments):
        decoded.append(len(codes["top"]))
        return decode(self, codes, *arguments)

    monkeypatch.setattr(Hierarchy, "decode", watched)
    out = tmp_path / "out.npz"
    assert run_vqv2("sample", trained[0], *SAMPLE, "--out", out) == 0
    assert decoded == [4, 4, 2]
    images = ArrayImages(out)
    assert len(images) == 10 and images.labels.tolist() == (np.arange(10) % 3).tolist()
    decoded.clear()
    hierarchy = Hierarchy.load(trained[0])
    drawn = np.concatenate(list(hierarchy.sample_batches(10, list("0120120120"), 3, 4)))
    assert decoded == [4, 4, 2]
    np.testing.assert_array_equal(np.rint(drawn * 255), np.rint(images.batch(range(10)) * 255))


def test_the_top_alone(copy, tmp_path, capsys):
    hierarchy, out = Hierarchy.load(copy), tmp_path / "top.npz"
    whole = hierarchy.sample_codes(10, "1", seed=3, batch=10)
    shutil.rmtree(copy / "prior-bottom")
    ten = ("sample", copy, "--count", 10, "--class", 1, "--seed", 3, "--out", out)
    error = refused(capsys, *ten)
    assert "bottom is not trained yet: run `vqv2 train prior RUN --level bottom`, after" in error
    assert "`vqv2 encode RUN`, or draw the coarser codes alone" in error
    assert "--level top" in error and "levels=['top']" in error and not list(tmp_path.glob("top*"))
    assert "no level 'left'" in refused(capsys, *ten, "--level", "left")
    assert run_vqv2(*ten, "--level", "top") == 0
    images = hierarchy.decode({"top": whole["top"]}, levels=["top"])
    np.testing.assert_array_equal(np.load(out)["images"], np.rint(images * 255))
    again = Hierarchy.load(copy).sample(10, "1", seed=3, batch=10, levels=["top"])
    np.testing.assert_array_equal(again, images)


def test_absurd_amounts_are_refused_at_once(tmp_path, capsys):
    """Before anything is looked at: there is no run and no classifier."""
    out = ("--out", tmp_path / "x.png")
    sample, reject = ("sample", "run"), ("reject", "run", "--classifier", "c", *out)
    for arguments, message in (
        ((*sample, "--count", 10**12, *out), "--count 1000000000000 must be at most 10000000"),
        ((*sample, "--count", 5, "--batch", 10**6, *out), "--batch 1000000 must be at most 4096"),
        ((*reject, "--count", 10**9), "--count 1000000000 must be at most"),
        (("reconstruct", "run", "--count", 10**9, *out), "--count 1000000000 must be at most"),
        (("evaluate", "run", "--per-class", 10**9), "--per-class 1000000000 must be at most 1000"),
        (("evaluate", "run", "--samples", 10**9), "--samples 1000000000 must be at most 100000"),
        (("evaluate", "run", "--repetitions", 0), "--repetitions 0 must be at least 1"),
    ):
        assert message in refused(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_too_many_images_is_refused_before_they_are_drawn(
    trained, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(pictures, "MOST_PIXELS", 100 * pictures.SHOWN_PIXELS**2)
    page = ("evaluate", trained[0], "--out", tmp_path / "page")
    for command in (
        ("sample", trained[0], "--count", 101, "--out", tmp_path / "x.png"),
        (*page, "--per-class", 34),  # of three classes
        (*page, "--shown", 34),  # from the top, from both, and the originals
    ):
        error = refused(capsys, *command)
        assert "images of 16 x 16 pixels would be too large" in error
        assert error.endswith("ask for at most 100")
    assert list(tmp_path.iterdir()) == []


def test_a_class_called_by_a_number_is_drawn_where_figures_are_computed(trained, tmp_path):
    run, sources = trained
    loaded = Hierarchy.load(run)
    names = ("0", "2", "1")  # either number could mean another class
    hierarchy = Hierarchy(loaded.config, names, loaded.autoencoder, loaded.priors)
    subject = Subject(None, hierarchy, sources, None, tmp_path, Options(progress=False))
    samples = subject.draw(6)
    expected = loaded.sample_codes(6, [str(label) for label in samples.labels])
    np.testing.assert_array_equal(samples.codes["bottom"], expected["bottom"])
    assert set(samples.labels.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_named(copy, tmp_path, capsys, value):
    path = copy / "prior-bottom" / "checkpoint.safetensors"
    arrays, metadata = checkpoint.load(path)
    name = "average.embedding.table"
    arrays[name][3, 1] = value
    checkpoint.save(path, arrays, metadata)
    word = "NaN" if np.isnan(value) else "infinity"
    said = f"{path} cannot be used: its array {name} has {word} at (3, 1) of (12, 8); restore"
    assert said in refused(capsys, "sample", copy, *SAMPLE, "--out", tmp_path / "x.png")
    weights = tmp_path / "weights.safetensors"
    autoencoder = Hierarchy.load(copy, priors=False).autoencoder
    first, parameter = next(iter(autoencoder.parameters().items()))
    parameter.array[0, 0, 0, 0] = value
    write_weights(weights, autoencoder)
    data = write_images(tmp_path / "images.npz")
    error = refused(capsys, "import", weights, "--data", data, "--out", tmp_path / "imported")
    assert f"its array {first} has {word} at (0, 0, 0, 0) of" in error
    assert not (tmp_path / "imported").exists()
