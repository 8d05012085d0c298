"""What the names of folders mean: splits, classes, neither; and what is odd about them."""

import os

import pytest

from vqv2.data.layout import WHOLE, read_layout
from vqv2.data.listing import list_images
from vqv2.errors import InputError


def layout(root, folders):
    """The `Layout` of {folder: number of images in it}."""
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (root / folder / f"{number}.png").touch()
    return read_layout("photos", list_images(root))


@pytest.mark.parametrize("train", ["train", "TRAINING"])
@pytest.mark.parametrize(
    "other", ["val", "Valid", "validation", "dev", "held_out", "test", "testing"]
)
def test_the_usual_names_are_splits_in_any_capitalisation(tmp_path, train, other):
    folders = {f"{name}/{animal}/deep": 2 for name in (train, other) for animal in ("cat", "dog")}
    found = layout(tmp_path, folders)
    assert found.splits == {"train": train, "held_out": other}
    assert found.class_names == ("cat", "dog") and found.remarks == []


@pytest.mark.parametrize(
    ("folders", "splits", "classes", "remark"),
    [
        ({"cat": 2, "dog": 2}, {WHOLE: ""}, "cat dog", None),
        ({".": 3}, {WHOLE: ""}, "", None),
        ({"train": 9, "val": 2}, {"train": "train", "held_out": "val"}, "", None),
        ({"train/cat": 2}, {WHOLE: "train"}, "cat", "train is the only split: about 5 %"),
        ({"test/a": 2, "test/b": 2}, {WHOLE: "test"}, "a b", "test is the only split"),
        (
            {"train/a": 2, "valid/a": 2, "test/a": 3, "test/b": 2},
            {"train": "train", "held_out": "valid"},
            "a",
            "5 images in test are not used, as valid is held out",
        ),
        (
            {"train/a": 2, "test/a": 2, "extra": 3},
            {"train": "train", "held_out": "test"},
            "a",
            "3 images in extra, beside the splits, are not used",
        ),
        (
            {"train": 2, "bus": 2, "val": 0},
            {WHOLE: ""},
            "bus train",
            "train, beside bus, are not taken for splits",
        ),
        (
            {"val": 2, "test": 2, "a": 2},
            {WHOLE: ""},
            "a test val",
            "test, val, beside a, are not taken",
        ),
        (
            {".": 5, "train": 2, "val": 2},
            {WHOLE: ""},
            "",
            "beside most of the images, are not taken",
        ),
        ({"a": 2, "b": 1, "c": 1}, {WHOLE: ""}, "a b c", "a single image in b, c"),
        ({"a": 2, "b": 2, "c/d": 0}, {WHOLE: ""}, "a b", "no images in c: no classes"),
        ({"a": 2}, {WHOLE: ""}, "a", "all images are of one class, a"),
        (
            {"train/a": 2, "train/b": 2, "val/a": 2},
            {"train": "train", "held_out": "val"},
            "a b",
            "val has no images of b",
        ),
        (
            {"a/train": 2, "a/test": 2, "b/train": 2, "b/test": 2},
            {WHOLE: ""},
            "a b",
            "the classes have folders named like splits (test, train)",
        ),
    ],
)
def test_what_is_odd_is_said(tmp_path, folders, splits, classes, remark):
    found = layout(tmp_path, folders)
    assert found.splits == splits and list(found.class_names) == classes.split()
    said = "; ".join(found.remarks)
    assert remark in said if remark else not said


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ({"train/a": 2, "val/b": 2}, "photos/val has images of the classes b, but photos/train"),
        ({"train/a": 2, "val": 2}, "photos/train has class folders but photos/val has its images"),
        ({"train": 2, "val/a": 2}, "photos/val has class folders but photos/train has its images"),
        ({"train": 2, "val": 2, "Valid": 2}, "both Valid and val, which mean the same"),
        ({"val": 2, "test": 2}, "photos has test, val, but nothing to learn from"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, folders, message):
    with pytest.raises(InputError, match=message):
        layout(tmp_path, folders)


def test_images_that_lie_in_no_class_have_a_reason(tmp_path):
    found = layout(tmp_path, {"train/a": 2, "val/a": 2, "train": 1, ".": 1})
    folders = ["", "train", "val", os.path.join("train", "a"), os.path.join("val", "a")]
    assert {folders[number]: reason for number, reason in found.left_out.items()} == {
        "": "it lies beside the splits' folders",
        "train": "it lies beside the class folders, in none of them",
    }
    assert found.class_of.tolist() == [-1, -1, -1, 0, 0]
