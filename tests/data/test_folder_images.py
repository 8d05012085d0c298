"""Folders of images: classes, splits, and what happens to files that cannot be used."""

import os

import numpy as np
import pytest
from PIL import Image

from vqv2.data.augment import IMAGENET
from vqv2.data.folder import FolderImages
from vqv2.errors import InputError


def write(path, colour=0, shape=(16, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", shape, (colour, 0, 0)).save(path)


def damage(path):
    """Break a PNG's pixels so that only decoding can tell: its header and its end stay."""
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT") + 6
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)


@pytest.fixture
def animals(tmp_path):
    """Ten images each of two classes; the red channel says which image it is."""
    for number in range(10):
        write(tmp_path / "cat" / f"{number}.png", number)
        write(tmp_path / "dog" / "big" / f"{number}.JPG", 100 + 10 * number)
    return tmp_path


def colours(source):
    return [int(source.read(index)[0, 0, 0]) for index in range(len(source))]


def test_sub_folders_are_classes_at_any_depth(animals):
    source = FolderImages(animals, 16)
    assert source.class_names == ("cat", "dog")
    assert source.labels.dtype == np.int64
    assert source.labels.tolist() == [0] * 10 + [1] * 10
    assert source.name == animals.name and source.skipped == []
    np.testing.assert_allclose(colours(source), [*range(10), *range(100, 200, 10)], atol=2)


def test_a_flat_folder_has_no_labels(tmp_path):
    write(tmp_path / "b.png", 2)
    write(tmp_path / "a.png", 1)
    (tmp_path / "notes.txt").write_text("no image")
    write(tmp_path / ".hidden.png")
    write(tmp_path / ".cache" / "c.png")
    source = FolderImages(tmp_path, 16)
    assert source.labels is None and source.class_names == ()
    assert colours(source) == [1, 2]


def test_a_few_images_beside_the_classes_are_left_out_and_listed(animals):
    write(animals / "loose.png")
    source = FolderImages(animals, 16)
    assert source.class_names == ("cat", "dog") and len(source) == 20
    assert source.skipped == [
        (str(animals / "loose.png"), "it lies beside the class folders, in none of them")
    ]


def test_most_images_beside_some_folders_leave_no_classes(animals):
    for number in range(21):
        write(animals / f"loose{number}.png")
    source = FolderImages(animals, 16)
    assert len(source) == 41 and source.skipped == []
    assert source.labels is None and source.class_names == ()


def test_links_to_folders_are_followed_once_and_the_others_listed(tmp_path):
    write(tmp_path / "real" / "a.png")
    write(tmp_path / "data" / "dog" / "b.png")
    for name in ("cat", "tabby"):
        os.symlink(tmp_path / "real", tmp_path / "data" / name)
    os.symlink(tmp_path / "data", tmp_path / "real" / "circle")
    source = FolderImages(tmp_path / "data", 16)
    assert len(source) == 2 and source.class_names == ("cat", "dog")
    assert source.skipped == [
        (str(tmp_path / "data" / "tabby"), "it is the same as the folder cat, which is read once"),
        (
            str(tmp_path / "data" / "cat" / "circle"),
            "it is the same as the whole, which is read once",
        ),
    ]


def test_what_cannot_be_listed_or_is_no_file_is_left_out_with_its_reason(animals, monkeypatch):
    os.symlink("self.png", animals / "cat" / "self.png")
    os.symlink("nothing", animals / "cat" / "dangling.png")
    os.symlink("not/mounted", animals / "wolf")
    os.symlink("fox", animals / "fox")
    os.mkfifo(animals / "cat" / "fifo.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("big"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    realpath = os.path.realpath

    def denied(path, **how):
        if str(path).endswith("hidden"):
            raise PermissionError(13, "Permission denied", str(path))
        return realpath(path, **how)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os.path, "realpath", denied)
    os.symlink("cat", animals / "hidden")
    source = FolderImages(animals, 16)
    assert len(source) == 10
    reasons = {os.path.basename(path): reason for path, reason in source.skipped}
    assert reasons == {
        "self.png": "it cannot be read (Too many levels of symbolic links)",
        "dangling.png": "it cannot be read (No such file or directory)",
        "fifo.png": "it is a FIFO, not a file",
        "big": "it cannot be listed: Permission denied",
        "hidden": "it cannot be followed: Permission denied",
        "wolf": "it cannot be listed: No such file or directory",
        "fox": "it cannot be listed: Too many levels of symbolic links",
    }
    assert "no images in dog, fox, wolf: no classes" in source.remarks
    (animals / "cat" / "3.png").unlink()
    os.mkfifo(animals / "cat" / "3.png")  # since it has been looked into
    source.batch([3])
    assert source.skipped[-1] == (str(animals / "cat" / "3.png"), "it is a FIFO, not a file")


def test_read_and_batch_give_shapes_types_and_ranges(animals):
    for channels in (1, 3):
        source = FolderImages(animals, 8, channels)
        image = source.read(15)
        assert image.shape == (8, 8, channels) and image.dtype == np.uint8
        batch = source.batch([15, 3, 15])
        assert batch.shape == (3, 8, 8, channels) and batch.dtype == np.float32
        np.testing.assert_array_equal(batch[0], image.astype(np.float32) / 255)
    assert source.batch([]).shape == (0, 8, 8, 3)


def test_random_crops_repeat_with_the_generator_and_differ_between_images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    source = FolderImages(tmp_path, 32)
    first, again = (source.batch([0] * 9, IMAGENET, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len({image.tobytes() for image in first}) > 5


def test_split_by_hash_is_stable_and_disjoint(animals):
    parts = {split: FolderImages(animals, 16, split=split) for split in ("train", "held_out")}
    train, held_out = (set(colours(parts[split])) for split in parts)
    assert len(held_out) >= 1 and not train & held_out and len(train | held_out) == 20
    assert parts["held_out"].class_names == ("cat", "dog")
    assert set(colours(FolderImages(animals, 16, split="held_out"))) == held_out


def test_split_folders_are_the_splits(tmp_path):
    for number in range(30):
        write(tmp_path / "Train" / ("cat" if number < 9 else "dog") / f"{number}.png", number)
    write(tmp_path / "valid" / "cat" / "0.png", 90)
    write(tmp_path / "valid" / "dog" / "1.png", 91)
    write(tmp_path / "test" / "fox" / "1.png", 99)
    train, held_out, both = (
        FolderImages(tmp_path, 16, split=s) for s in ("train", "held_out", "all")
    )
    assert sorted(colours(train)) == list(range(30))
    assert colours(held_out) == [90, 91]
    assert len(both) == 32
    for source in (train, held_out, both):
        assert source.class_names == ("cat", "dog")
    assert held_out.labels.tolist() == [0, 1] and train.labels.tolist() == [0] * 9 + [1] * 21


@pytest.mark.parametrize("name", ["train", "Val"])
def test_a_single_split_is_divided_as_its_folder_is(tmp_path, name):
    for number in range(40):
        write(tmp_path / name / "cat" / f"{number}.png", number)
    for split in ("train", "held_out"):
        whole = FolderImages(tmp_path, 16, split=split)
        part = FolderImages(tmp_path / name, 16, split=split)
        assert whole.class_names == part.class_names == ("cat",)
        assert colours(whole) == colours(part) and whole.identity == part.identity


def test_unusable_files_are_skipped_with_their_reasons(animals):
    cat = animals / "cat"
    (cat / "empty.png").touch()
    (cat / "text.jpg").write_text("no image")
    write(cat / "small.png", shape=(15, 99))
    whole = (animals / "dog" / "big" / "0.JPG").read_bytes()
    (cat / "cut.jpg").write_bytes(whole[: len(whole) - 40])
    source = FolderImages(animals, 16)
    assert len(source) == 20
    reasons = {os.path.basename(path): reason for path, reason in source.skipped}
    assert sorted(reasons) == ["cut.jpg", "empty.png", "small.png", "text.jpg"]
    assert "15 x 99 pixels for a size of 16" in reasons["small.png"]
    assert "zero bytes" in reasons["empty.png"] and "truncated" in reasons["cut.jpg"].lower()


def test_a_damaged_file_is_replaced_in_a_batch_by_one_of_its_class(animals):
    source = FolderImages(animals, 16)
    damage(animals / "cat" / "9.png")
    batch = source.batch([9, 9, 3])
    np.testing.assert_allclose(batch[:, 0, 0, 0] * 255, [0, 0, 3], atol=1e-4)
    write(animals / "cat" / "9.png", 9)
    assert source.batch([9])[0, 0, 0, 0] == 0  # what was skipped stays skipped
    assert [path for path, _ in source.skipped] == [str(animals / "cat" / "9.png")]


def test_a_class_without_readable_files_is_replaced_by_another(animals):
    source = FolderImages(animals, 16)
    for number in range(10):
        damage(animals / "cat" / f"{number}.png")
    np.testing.assert_allclose(source.batch([4])[0, 0, 0, 0] * 255, 100, atol=2)
    assert len(source.skipped) == 10


def test_reading_one_damaged_file_names_it(animals):
    source = FolderImages(animals, 16)
    damage(animals / "cat" / "3.png")
    with pytest.raises(InputError, match=r"3\.png cannot be used: it cannot be decoded"):
        source.read(3)


def test_a_batch_with_no_readable_file_left_says_so(tmp_path):
    write(tmp_path / "a.png")
    source = FolderImages(tmp_path, 16)
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"none of the 1 images .*a\.png: .* \(No such file"):
        source.batch([0])


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no folder .*nowhere"):
        FolderImages(tmp_path / "nowhere", 16)
    with pytest.raises(InputError, match="has no image files"):
        FolderImages(tmp_path, 16)


def test_a_folder_with_nothing_usable_says_how_many_and_why(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"none of the 3 image files .*a\.png: .*zero bytes"):
        FolderImages(tmp_path, 16)


@pytest.mark.parametrize(("size", "channels"), [(0, 3), (1.5, 3), (16, 4)])
def test_senseless_sizes_and_channels_are_refused(animals, size, channels):
    with pytest.raises(InputError, match="size of|channels were asked"):
        FolderImages(animals, size, channels)


def test_an_augmented_batch_needs_a_generator(animals):
    with pytest.raises(InputError, match="rng"):
        FolderImages(animals, 16).batch([0], IMAGENET)


def test_a_folder_that_may_not_be_entered_is_named(animals, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=f"the folder {animals} cannot be listed: Permission"):
        FolderImages(animals, 16)
