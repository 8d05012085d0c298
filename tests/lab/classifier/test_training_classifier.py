"""Training a classifier: exact continuation, what its folder holds, and refusals."""

import numpy as np
import pytest

from backends import to_host
from tests.small import write_images
from vqv2.cli.main import main
from vqv2.config import ClassifierConfig, replace
from vqv2.data.images import open_images
from vqv2.errors import InputError
from vqv2.lab.classifier import ClassifierTask, begun_classifier, load_classifier, train_classifier
from vqv2.lab.classifier.model import Classifier
from vqv2.run import checkpoint
from vqv2.run.log import read_log
from vqv2.training import Schedule

CONFIG = ClassifierConfig(
    image_size=16, hidden_units=4, feature_units=6, batch=4, steps=6, precision="float32"
)
QUIET = Schedule(log_every=1, validate_every=3, progress=False)


@pytest.fixture
def data(tmp_path):
    return write_images(tmp_path / "images.npz")


@pytest.fixture
def sources(data):
    return {split: open_images(data, 16, 3, split) for split in ("train", "held_out")}


def steps(count):
    return replace(CONFIG, {"steps": count, "decay_learning_rate": False})


def test_an_interrupted_training_ends_exactly_like_an_uninterrupted_one(tmp_path, data, sources):
    train_classifier(tmp_path / "a", steps(6), sources, data, 1, schedule=QUIET)
    train_classifier(tmp_path / "b", steps(2), sources, data, 1, schedule=QUIET)
    # The images may have been moved.
    metrics = train_classifier(tmp_path / "b", steps(6), sources, "elsewhere", 1, True, QUIET)
    assert set(metrics) == {"loss", "accuracy"}
    whole, parts = (checkpoint.load(tmp_path / name / "checkpoint.safetensors")[0] for name in "ab")
    for name, array in whole.items():
        np.testing.assert_array_equal(array, parts[name], name)
    assert begun_classifier(tmp_path / "b") == (steps(6), "elsewhere")
    lines = read_log(tmp_path / "b" / "log.jsonl")
    assert [line["step"] for line in lines if line["split"] == "train"] == [1, 2, 3, 4, 5, 6]
    assert all(0 <= line["accuracy"] <= 1 for line in lines)


def test_a_folder_gives_the_averaged_classifier(tmp_path, data, sources):
    train_classifier(tmp_path / "a", CONFIG, sources, data, schedule=QUIET)
    model = load_classifier(tmp_path / "a")
    assert model.config == CONFIG and model.class_names == ("0", "1", "2")
    arrays, _ = checkpoint.load(tmp_path / "a" / "checkpoint.safetensors")
    for name, parameter in model.parameters().items():
        np.testing.assert_array_equal(to_host(parameter.array), arrays[f"average.{name}"])
    images = sources["held_out"].batch([0])
    again = load_classifier(tmp_path / "a").probabilities(images)
    np.testing.assert_array_equal(model.probabilities(images), again)


def test_validation_says_how_often_the_averaged_classifier_is_right(tmp_path, data, sources):
    train_classifier(tmp_path / "a", CONFIG, sources, data, schedule=QUIET)
    model, held_out = load_classifier(tmp_path / "a"), sources["held_out"]
    probabilities = model.probabilities(held_out.batch(range(len(held_out))))
    task = ClassifierTask(model, sources["train"], held_out, data, 0)
    metrics = task.validate()
    right = probabilities.argmax(axis=1) == held_out.labels
    assert metrics["accuracy"] == right.mean()
    own = probabilities[np.arange(len(held_out)), held_out.labels]
    assert metrics["loss"] == pytest.approx(-np.log(own).mean())
    for average in task.optimizer.average.values():
        average *= 0.5
    assert task.validate() != metrics


def test_a_batch_in_parts_keeps_images_and_labels_together(tmp_path, data, sources):
    config = replace(CONFIG, {"accumulate": 2})
    model = Classifier(config, ("0", "1", "2"), np.random.default_rng(0))
    task = ClassifierTask(model, sources["train"], sources["held_out"], data, 0)
    images, labels = task.batch(1)
    first, second = task.split((images, labels), 2)
    np.testing.assert_array_equal(np.concatenate([first[0], second[0]]), images)
    np.testing.assert_array_equal(np.concatenate([first[1], second[1]]), labels)
    assert len(first[0]) == len(first[1]) == 2
    train_classifier(tmp_path / "a", config, sources, data, schedule=QUIET)
    lines = read_log(tmp_path / "a" / "log.jsonl")
    assert all(0 <= line["accuracy"] <= 1 for line in lines)


def test_images_without_classes_are_refused(tmp_path):
    path = tmp_path / "plain.npz"
    np.savez(path, images=np.zeros((8, 16, 16, 3), np.uint8))
    sources = {split: open_images(path, 16, 3, split) for split in ("train", "held_out")}
    with pytest.raises(InputError, match="plain.npz has no classes"):
        train_classifier(tmp_path / "a", CONFIG, sources, str(path))
    assert not (tmp_path / "a").exists()


def test_the_command_trains_continues_and_refuses(tmp_path, data, capsys):
    out = tmp_path / "classifier"
    small = ("--set", "hidden_units=4", "--set", "feature_units=6", "--batch", 4)

    def vqv2(*arguments):
        return main(["train", "classifier", "--out", *map(str, arguments)])

    assert vqv2(out, "--data", data, *small, "--steps", 2) == 0
    assert "accuracy" in capsys.readouterr().out
    assert load_classifier(out).config.image_size == 16  # the data's own
    assert vqv2(out, "--resume", "--steps", 4, "--set", "learning_rate=1e-3") == 0
    assert checkpoint.load(out / "checkpoint.safetensors")[1]["step"] == 4
    assert vqv2(out, "--resume") == 0
    assert "all its steps already" in capsys.readouterr().out
    before = (out / "checkpoint.safetensors").read_bytes()
    for message, arguments in {
        "continue it with --resume": (out, "--data", data, *small),
        "where batch is 4, not 3: only dropout, accumulate, steps": (out, "--resume", "--batch", 3),
        "--data is missing": (tmp_path / "new",),
        "--data is missing: ": (tmp_path / "new", "--resume"),
        "there is no field 'wings'": (tmp_path / "new", "--data", data, "--set", "wings=2"),
        "too small": (tmp_path / "new", "--data", data, "--set", "image_size=64"),
        "multiple of 4": (tmp_path / "new", "--data", data, "--set", "image_size=10"),
        "seed is 0, not 2": (out, "--resume", "--seed", 2),
    }.items():
        assert vqv2(*arguments) == 2
        assert message in capsys.readouterr().err
    assert (out / "checkpoint.safetensors").read_bytes() == before
    assert not (tmp_path / "new").exists()


def test_the_same_command_begins_and_goes_on_after_damage(tmp_path, data, capsys):
    out = tmp_path / "classifier"
    small = ("--set", "hidden_units=4", "--set", "feature_units=6", "--batch", "4",
             "--set", "decay_learning_rate=false")  # fmt: skip

    def resume(steps):
        more = ("--out", str(out), "--resume", "--keep", "3", "--save-every", "0")
        status = main(["train", "classifier", "--data", data, *more, *small, "--steps", steps])
        return status, capsys.readouterr().err

    def doctor():
        return main(["doctor", str(out)]), capsys.readouterr().out

    assert resume("4")[0] == 0
    status, said = doctor()
    assert status == 0 and said.startswith("classifier  complete: 4 steps")
    path = out / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="is damaged.*--resume goes on from the one before"):
        load_classifier(out)  # which would judge differently as it was some steps ago
    status, said = doctor()
    assert status == 1 and f"next:\n  vqv2 train classifier --out {out} --resume" in said
    status, error = resume("6")
    assert status == 0 and "is damaged" in error and "checkpoint-3.safetensors, of step 3" in error
    assert checkpoint.load(path)[1]["step"] == 6
    load_classifier(out)
