"""What tells images from others: the same after moving and copying, another after any change."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.small import write_fashion_mnist, write_images
from vqv2.data import array
from vqv2.data.images import ArrayImages, FolderImages, open_images


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a/0.png", "a/1.png", "a/deep/2.png", "b/3.png", "b/4.png", "small/5.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        side = 8 if name.startswith("small") else 20
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def identity(folder, split="all"):
    return FolderImages(folder, 16, split=split).identity


def test_a_folder_that_was_moved_copied_or_touched_is_the_same(photos, tmp_path):
    before = identity(photos)
    os.utime(photos / "a" / "0.png", (1, 1))
    assert identity(photos) == before
    shutil.copytree(photos, tmp_path / "copy")
    assert identity(tmp_path / "copy") == before
    assert identity(photos.rename(tmp_path / "elsewhere")) == before


def test_what_is_not_used_does_not_count(photos):
    before = identity(photos)
    (photos / "b" / "notes.txt").write_text("of the photographer")
    (photos / "a" / "0a.png").write_bytes(b"no image at all")
    Image.new("RGB", (9, 9)).save(photos / "small" / "6.png")
    assert identity(photos) == before


def renamed(photos):
    (photos / "a" / "0.png").rename(photos / "a" / "00.png")


def moved_to_another_class(photos):
    (photos / "a" / "1.png").rename(photos / "b" / "1.png")


def moved_into_a_folder(photos):
    (photos / "a" / "1.png").rename(photos / "a" / "deep" / "1.png")


def folder_renamed(photos):
    (photos / "a" / "deep").rename(photos / "a" / "deeper")


def replaced(photos):
    Image.new("RGB", (20, 20)).save(photos / "b" / "3.png")


def added(photos):
    Image.new("RGB", (20, 20)).save(photos / "b" / "9.png")


CHANGES = (renamed, moved_to_another_class, moved_into_a_folder, folder_renamed, replaced, added)


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_in_which_something_changed_is_another(photos, change):
    before = identity(photos)
    change(photos)
    assert identity(photos) != before


def test_splits_are_told_apart(photos):
    assert len({identity(photos, split) for split in ("all", "train", "held_out")}) == 3
    parts = photos.parent / "parts"
    for split in ("train", "val"):
        shutil.copytree(photos, parts / split)
    assert identity(parts, "train") == identity(parts, "held_out") != identity(parts)
    assert identity(parts, "train") == identity(photos)


def test_arrays_are_compared_by_images_and_labels(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(40) % 3
    first = ArrayImages(images, labels=labels).identity
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    np.save(tmp_path / "images.npy", images)
    assert ArrayImages(tmp_path / "images.npz").identity == first
    plain = ArrayImages(tmp_path / "images.npy").identity
    assert plain == ArrayImages(images).identity != first
    assert ArrayImages(images, labels=labels[::-1]).identity != first
    assert ArrayImages(images, split="train").identity != plain
    other = images.copy()
    other[-1, -1, -1, -1] ^= 1
    assert ArrayImages(other).identity != plain
    assert ArrayImages(images[..., :1], channels=1).identity != plain


def test_of_a_large_array_some_images_are_compared(monkeypatch):
    images = np.zeros((40, 8, 8, 1), np.uint8)
    images[::2] = 7
    whole = ArrayImages(images, channels=1).identity
    monkeypatch.setattr(array, "_COMPARED", 10 * 64)
    some = ArrayImages(images, channels=1).identity
    assert some != whole
    images[0, 0, 0, 0] = 1
    assert ArrayImages(images, channels=1).identity != some


def test_packaged_images(tmp_path):
    emoji = {size: open_images(f"emoji:{size}", None).identity for size in (16, 32)}
    assert emoji[16] == emoji[32]  # the size is a field of the configuration
    assert open_images("emoji:16", None, split="held_out").identity != emoji[16]
    places = [tmp_path / name for name in ("a", "b")]
    for place in places:
        place.mkdir()
    first, second = (open_images(write_fashion_mnist(p), 32, 1).identity for p in places)
    assert first == second
    third = open_images(write_fashion_mnist(places[1], train=50), 32, 1)
    assert third.identity != first


def test_an_array_file_is_the_same_under_another_name(tmp_path):
    first = open_images(write_images(tmp_path / "a.npz"), 16).identity
    assert open_images(write_images(tmp_path / "b.npz"), 16).identity == first
    assert open_images(write_images(tmp_path / "c.npz", count=25), 16).identity != first


def names(source):
    return [source.image_name(place) for place in range(len(source))]


def test_every_image_can_be_found_again_by_its_name(photos, tmp_path):
    """The index of extracted codes has these names."""
    assert names(FolderImages(photos, 16)) == [
        "a/0.png",
        "a/1.png",
        "a/deep/2.png",
        "b/3.png",
        "b/4.png",
    ]
    path = write_images(tmp_path / "images.npz")
    splits = [names(ArrayImages(path, split=split)) for split in ("train", "held_out")]
    assert sorted(int(name) for split in splits for name in split) == list(range(24))
    (place,) = splits[1]
    pixels = ArrayImages(path).read(int(place))
    np.testing.assert_array_equal(ArrayImages(path, split="held_out").read(0), pixels)
    split = photos.parent / "split"
    for name in ("train", "val"):
        shutil.copytree(photos, split / name)
    assert names(FolderImages(split, 16, split="held_out"))[0] == "val/a/0.png"
