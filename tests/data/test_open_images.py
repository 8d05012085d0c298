"""Opening images by what a person calls them."""

import os

import numpy as np
import pytest
from PIL import Image

from vqv2.data.array import ArrayImages
from vqv2.data.emoji import EmojiImages
from vqv2.data.folder import FolderImages
from vqv2.data.images import absolute_data, open_images, open_splits
from vqv2.errors import InputError


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a folder of images, an array and a text file in it."""
    (tmp_path / "photos").mkdir()
    for number in range(3):
        Image.new("RGB", (20, 20)).save(tmp_path / "photos" / f"{number}.png")
    np.save(tmp_path / "faces.npy", np.zeros((30, 8, 8), np.uint8))
    for name in ("notes.txt", "scan.dcm", "photos.tar", "photos.h5"):
        (tmp_path / name).write_text("no images")
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_and_files_are_opened(place):
    photos = open_images("photos", 16, channels=1, split="all")
    assert isinstance(photos, FolderImages)
    assert (len(photos), photos.size, photos.channels) == (3, 16, 1)
    faces = open_images(place / "faces.npy", None)
    assert isinstance(faces, ArrayImages)
    assert faces.size == 8 and 0 < len(faces) < 30
    assert len(faces) + len(open_images("faces.npy", 8, split="held_out")) == 30


def test_a_single_image_is_held_out_and_nothing_to_learn_from(place):
    for split in ("held_out", "all"):
        source = open_images("photos/1.png", 16, split=split)
        assert (len(source), source.batch([0]).shape) == (1, (1, 16, 16, 3))
    assert source.identity != open_images("faces.npy", 8).identity
    for opened in (open_images, open_splits):
        with pytest.raises(InputError, match="photos/1.png is a single image.* give a folder"):
            opened("photos/1.png", 16)
    with pytest.raises(InputError, match=r"too small: 20 x 20 pixels for a size of 21"):
        open_images("photos/1.png", 21, split="all")
    with pytest.raises(InputError, match=r"broken.png cannot be used: the file is empty"):
        (place / "broken.png").touch()
        open_images("broken.png", 21, split="all")


def test_images_of_16_bits_fill_their_range_or_their_owner_says_how_many_bits(place):
    (place / "scans").mkdir()
    ramp = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    for number in range(4):
        Image.fromarray(ramp // (number + 1)).save(place / "scans" / f"{number}.png")
    for data in ("scans", "scans/0.png"):
        with pytest.raises(
            InputError, match=f"up to 4095 at most.* give 12-bit:{data} as the data"
        ):
            open_images(data, 64, 1, split="all")
    expected = np.rint(ramp / 4095 * 255)
    for data in ("12-bit:scans", "12-bit:scans/0.png", f"12-bit:{place}/scans"):
        np.testing.assert_array_equal(open_images(data, 64, 1, "all").read(0)[..., 0], expected)
    splits = open_splits("12-bit:scans", 64, 1)
    assert len(splits["train"]) + len(splits["held_out"]) == 4
    dark = open_images("16-bit:scans", 64, 1, split="all")
    assert dark.read(0).max() == 16
    assert dark.identity != open_images("12-bit:scans", 64, 1, split="all").identity
    assert absolute_data("12-bit:scans") == f"12-bit:{place / 'scans'}"
    Image.fromarray(ramp + 61440).save(place / "scans" / "hot.png")
    mixed = open_splits("scans", 64, 1)["train"].remarks
    assert len(mixed) == 1 and "half of the 16-bit images have values up to 2047" in mixed[0]
    narrow = open_images("10-bit:scans/", 64, 1, split="all")
    assert narrow.batch([0]).max() == 1  # of the last one, 4095 // 4
    assert "value 4095, but its white is 1023" in narrow.skipped[0][1]


@pytest.mark.parametrize(("data", "size"), [("emoji", 16), ("emoji:16", None), ("emoji:16", 16)])
def test_emoji_have_the_size_asked_for_either_way(data, size):
    source = open_images(data, size, split="held_out")
    assert isinstance(source, EmojiImages)
    assert (source.size, source.name) == (16, "emoji:16")


def test_fashion_mnist_is_looked_for_in_the_folder_given(place):
    with pytest.raises(InputError, match=r"no file photos.train-images-idx3-ubyte"):
        open_images("fashion-mnist:photos", None)
    with pytest.raises(InputError, match="size 32 only, not 0: set image_size=32"):
        open_images("fashion-mnist:photos", 0)


@pytest.mark.parametrize(
    ("data", "size", "message"),
    [
        ("photos", None, "images in photos may be of any size: give the size"),
        ("emoji", None, "give one, for example emoji:64"),
        ("emoji:big", None, "'emoji:big' has no size"),
        ("emoji:32", 64, "another size than 64"),
        ("emojy", 64, "'emojy' does not exist .*did you mean 'emoji'"),
        ("fashon-mnist", 32, "did you mean 'fashion-mnist'"),
        ("fotos", 64, "'fotos' does not exist .*did you mean 'photos'"),
        ("faces.np", 64, "did you mean 'faces.npy'"),
        ("notes.txt", 64, "'notes.txt' is not a kind of file that can be used: the data may be"),
        (
            "zzz",
            64,
            "a folder of images, a pack of one, a .npy or .npz file, emoji:SIZE, fashion-mnist or",
        ),
        ("gone.npy", 64, "does not exist|there is no file gone.npy"),
        ("scan.dcm", 64, "'scan.dcm' is an image of a kind that is not read: convert it to PNG"),
        ("photos.tar", 64, "'photos.tar' is packed: unpack it, and give the folder"),
        ("photos.h5", 64, "'photos.h5' is a container of arrays .*numpy.savez"),
        ("fifo", 64, "'fifo' is not a file or a folder"),
        ("7-bit:photos", 64, "images of 7 bits are not known; give 8 to 16"),
        ("12-bit:faces.npy", 8, "12-bit: is for image files"),
        ("12-bit:fotos", 8, "'fotos' does not exist .*did you mean 'photos'"),
    ],
)
def test_what_cannot_be_opened_is_said_plainly(place, data, size, message):
    with pytest.raises(InputError, match=message):
        open_images(data, size)


@pytest.mark.parametrize("data", ["photos", "faces.npy", "emoji:16"])
def test_fewer_than_no_workers_are_refused_for_any_data(place, data):
    for opened in (open_images, open_splits):
        with pytest.raises(InputError, match="-1 workers are less than none: use 0 or more"):
            opened(data, 16, workers=-1)


def test_an_unknown_split_is_refused_first():
    with pytest.raises(InputError, match="split 'eval'"):
        open_images("nothing", 16, split="eval")


@pytest.mark.parametrize(
    ("kind", "path"), [("", "photos"), ("", "faces.npy"), ("fashion-mnist:", "photos")]
)
def test_data_that_exists_is_found_from_any_folder(place, kind, path):
    assert absolute_data(kind + path) == f"{kind}{place / path}"


@pytest.mark.parametrize("data", ["emoji", "emoji:16", "fashion-mnist", "emojy", "nothing/at/all"])
def test_other_names_stay_as_the_user_wrote_them(place, data):
    assert absolute_data(data) == data
