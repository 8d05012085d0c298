"""What classifiers are for: `vqv2 reject`, and the classification accuracy score by commands."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.small import AUTOENCODER, CONFIG, write_images
from vqv2 import pipeline
from vqv2.cli.main import main
from vqv2.config import ClassifierConfig
from vqv2.data.images import open_images
from vqv2.hierarchy import Hierarchy
from vqv2.lab.classifier import load_classifier, train_classifier
from vqv2.lab.evaluation import rejection
from vqv2.lab.evaluation.features import fitted
from vqv2.lab.evaluation.networks import open_network
from vqv2.pictures import SHOWN_PIXELS
from vqv2.run import Run
from vqv2.training import Schedule

QUIET = Schedule(progress=False)
NAMES = ("ranks", "judges")


def vqv2(*arguments):
    return main([str(argument) for argument in arguments])


def hierarchy(folder, data, conditional=True):
    """A run folder after all stages."""
    sources = pipeline.open_splits(data, AUTOENCODER)
    config = dataclasses.replace(CONFIG, conditional=conditional)
    run = Run.new(folder, config, sources["train"].class_names, data)
    run.save()
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    pipeline.extract_codes(run, sources, progress=False)
    for level in run.config.levels:
        pipeline.train_prior(run, level, schedule=QUIET)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run and two classifiers."""
    folder = tmp_path_factory.mktemp("reject")
    data = write_images(folder / "images.npz", count=60)
    hierarchy(folder / "run", data)
    config = ClassifierConfig(image_size=8, channels=1, hidden_units=4, feature_units=6, batch=4)
    config = dataclasses.replace(config, steps=3)
    sources = {split: open_images(data, 8, 1, split) for split in ("train", "held_out")}
    for seed, name in enumerate(NAMES):
        train_classifier(folder / name, config, sources, data, seed, schedule=QUIET)
    return folder


def test_samples_of_all_classes_are_ranked_shown_and_measured(trained, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ("reject", trained / "run", "--classifier", trained / "ranks", "--judge",
                 trained / "judges", "--count", 25, "--batch", 10, "--seed", 4)  # fmt: skip
    assert vqv2(*arguments, "--out", out) == 0
    table = capsys.readouterr().out
    assert "confidence" in table and "judged" in table and "means over 0, 1, 2" in table

    with np.load(out / "ranked.npz") as ranked:
        images, labels = ranked["images"], ranked["labels"]
    assert images.shape == (75, 16, 16, 3) and images.dtype == np.uint8
    assert labels.tolist() == [0] * 25 + [1] * 25 + [2] * 25
    probabilities = rejection.class_probabilities(load_classifier(trained / "ranks"), images)
    content = json.loads((out / "rejection.json").read_text())
    for label in range(3):
        own = probabilities[labels == label, label]
        assert (np.diff(own) <= 1e-6).all()
        rows = content["classes"][str(label)]
        assert [row["percentage"] for row in rows] == list(rejection.PERCENTAGES)
        assert [row["count"] for row in rows] == [1, 2, 8, 12, 19, 25]
        assert rows[-1]["confidence"] == pytest.approx(own.mean(), abs=1e-5)
        assert rows[0]["diversity"] is None and rows[-1]["diversity"] > 0
        with Image.open(out / f"class-{label}.png") as picture:
            assert picture.width > 10 * SHOWN_PIXELS
    assert content["seed"] == 4 and content["temperature"] == "0.9"
    judged = rejection.class_probabilities(load_classifier(trained / "judges"), images)
    expected = np.mean([(judged[labels == c].argmax(axis=1) == c).mean() for c in range(3)])
    assert content["mean"][-1]["judged"] == pytest.approx(expected)
    with Image.open(out / "trade-off.png") as picture:
        assert min(picture.size) > 300
    # What was ranked is data like any other.
    assert len(open_images(str(out / "ranked.npz"), None, 3, "all")) == 75
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert vqv2(*arguments, "--out", out) == 0
    assert all((out / name).read_bytes() == content for name, content in before.items())


def test_one_class_by_name_and_without_a_judge(trained, tmp_path, capsys):
    out = tmp_path / "out"
    assert vqv2("reject", trained / "run", "--classifier", trained / "ranks", "--class", "1",
                "--count", 3, "--out", out) == 0  # fmt: skip
    assert {path.name for path in out.iterdir()} == {
        "class-1.png", "ranked.npz", "rejection.json", "trade-off.png"
    }  # fmt: skip
    assert json.loads((out / "rejection.json").read_text())["mean"][0]["judged"] is None


def test_what_cannot_be_done_is_one_sentence(trained, tmp_path, capsys):
    other = write_images(tmp_path / "other.npz", classes=2)
    sources = {split: open_images(other, 8, 1, split) for split in ("train", "held_out")}
    config = ClassifierConfig(image_size=8, channels=1, hidden_units=4, steps=1, batch=2)
    train_classifier(tmp_path / "two", config, sources, other, schedule=QUIET)
    out = tmp_path / "out"
    known = ("--classifier", trained / "ranks")
    for message, arguments in {
        "no class 'cat'": (trained / "run", *known, "--class", "cat", "--count", 2),
        "count 0": (trained / "run", *known, "--count", 0),
        "knows the classes 0, 1, but the run has 0, 1, 2": (
            trained / "run", "--classifier", tmp_path / "two", "--count", 2),
        "train first": (trained / "run", "--classifier", tmp_path / "none", "--count", 2),
        "not a classifier": (
            trained / "run", "--classifier", trained / "run" / "autoencoder", "--count", 2),
        "other classes than the run": (trained / "run", *known, "--count", 2, "--data", other),
        "--seed -2": (trained / "run", *known, "--count", 2, "--seed", -2),
    }.items():  # fmt: skip
        assert vqv2("reject", *arguments, "--out", out) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert message in error[-1], message
    assert not out.exists()


def test_a_class_without_images_is_left_out_with_a_sentence(tmp_path, capsys):
    data = write_images(tmp_path / "images.npz")
    with np.load(data) as content:
        images = content["images"]
    np.savez(data, images=images, labels=np.array([0, 2] * 12))  # classes "0", "1" and "2"
    run = hierarchy(tmp_path / "run", data)
    loaded = Hierarchy.load(run)
    assert set(loaded.labels(None, 50, np.random.default_rng(0))) == {0, 2}
    assert loaded.labels("1", 2, None).tolist() == [1, 1]  # who asks for it gets it
    out = tmp_path / "samples.npz"
    assert vqv2("sample", run, "--count", 5, "--out", out) == 0
    assert "no image of them: 1 (--class" in capsys.readouterr().out
    assert np.load(out)["labels"].tolist() == [0, 2, 0, 2, 0]
    config = ClassifierConfig(image_size=8, channels=1, hidden_units=4, steps=1, batch=2)
    sources = {split: open_images(data, 8, 1, split) for split in ("train", "held_out")}
    train_classifier(tmp_path / "ranks", config, sources, data, schedule=QUIET)
    arguments = ("reject", run, "--classifier", tmp_path / "ranks", "--count", 4)
    assert vqv2(*arguments, "--out", tmp_path / "rejected") == 0
    assert "left out: images.npz has 0 training images of class 1" in capsys.readouterr().out
    content = json.loads((tmp_path / "rejected" / "rejection.json").read_text())
    assert list(content["classes"]) == ["0", "2"]
    assert np.load(tmp_path / "rejected" / "ranked.npz")["labels"].tolist() == [0] * 4 + [2] * 4
    assert vqv2(*arguments, "--class", "1", "--out", tmp_path / "one") == 2
    assert "0 training images of class 1" in capsys.readouterr().err
    shutil.rmtree(run / "codes")  # the priors themselves know
    assert set(Hierarchy.load(run).labels(None, 50, np.random.default_rng(0))) == {0, 2}


def test_a_hierarchy_without_classes_is_refused(trained, tmp_path, capsys):
    data = write_images(tmp_path / "images.npz")
    run = hierarchy(tmp_path / "run", data, conditional=False)
    assert vqv2("reject", run, "--classifier", trained / "ranks", "--count", 2,
                "--out", tmp_path / "out") == 2  # fmt: skip
    assert "this hierarchy has none" in capsys.readouterr().err


def test_a_classifier_of_samples_is_tested_on_real_images(trained, tmp_path, capsys):
    samples, real = tmp_path / "samples.npz", trained / "images.npz"
    assert vqv2("sample", trained / "run", "--count", 30, "--batch", 10, "--out", samples) == 0
    with np.load(samples) as stored:
        assert stored["images"].shape == (30, 16, 16, 3) and stored["images"].dtype == np.uint8
        assert np.bincount(stored["labels"]).tolist() == [10, 10, 10]
    train = ("train", "classifier", "--data", samples, "--steps", 2, "--batch", 4,
             "--set", "hidden_units=4", "--out", tmp_path / "classifier")  # fmt: skip
    other = write_images(tmp_path / "other.npz", classes=2)
    assert vqv2(*train, "--test", other) == 2
    assert "knows the classes 0, 1, 2, but other.npz has 0, 1" in capsys.readouterr().err
    assert not (tmp_path / "classifier").exists()

    assert vqv2(*train, "--test", real) == 0
    printed = capsys.readouterr().out.splitlines()
    held_out = open_images(str(real), 16, 3, "held_out")
    probabilities = load_classifier(tmp_path / "classifier").probabilities(
        held_out.batch(range(len(held_out)))
    )
    right = (probabilities.argmax(axis=1) == held_out.labels).mean()
    assert printed[-1].startswith(f"{len(held_out)} images of images.npz: {right:.4f} (")
    again = ("train", "classifier", "--resume", "--out", tmp_path / "classifier", "--test", real)
    assert vqv2(*again) == 0
    assert capsys.readouterr().out.splitlines()[-1] == printed[-1]


def test_one_class_as_data_has_its_label(trained, tmp_path):
    path = tmp_path / "two.npz"
    assert vqv2("sample", trained / "run", "--count", 2, "--class", 2, "--out", path) == 0
    with np.load(path) as stored:
        assert stored["labels"].tolist() == [2, 2]


def test_a_classifier_is_a_feature_network(trained):
    hierarchy = Hierarchy.load(trained / "run")
    network = open_network(f"classifier:{trained / 'ranks'}", hierarchy)
    images = np.random.default_rng(0).random((3, 16, 16, 3))
    features = network.features(images)
    assert features.shape == (3, 6)
    classifier = load_classifier(trained / "ranks")
    own = classifier.trunk(fitted(images, 8, 1) - np.float32(0.5)).array
    np.testing.assert_allclose(features, own, atol=1e-6)
    block = open_network(f"classifier:{trained / 'ranks'}:trunk.blocks.0", hierarchy)
    maps = classifier.trunk.blocks[0](fitted(images, 8, 1) - np.float32(0.5)).array
    np.testing.assert_allclose(block.features(images), maps.mean(axis=(1, 2)), atol=1e-6)
