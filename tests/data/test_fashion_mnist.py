"""Fashion-MNIST's idx files, as tiny ones that are written here."""

import gzip
import struct

import numpy as np
import pytest

from vqv2.data.fashion_mnist import FashionMNIST
from vqv2.errors import InputError

COUNTS = {"train": 6, "t10k": 3}
TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"


def idx(values, magic=None):
    header = struct.pack(f">{values.ndim + 1}I", magic or 0x0800 + values.ndim, *values.shape)
    return header + values.astype(np.uint8).tobytes()


def images(prefix):
    generator = np.random.default_rng(len(prefix))
    return generator.integers(0, 256, (COUNTS[prefix], 28, 28), dtype=np.uint8)


@pytest.fixture(params=["", ".gz"])
def folder(tmp_path, request):
    """A folder with the four files, raw or compressed."""
    for prefix, count in COUNTS.items():
        contents = {
            f"{prefix}-images-idx3-ubyte": idx(images(prefix)),
            f"{prefix}-labels-idx1-ubyte": idx(np.arange(count)),
        }
        for name, content in contents.items():
            packed = gzip.compress(content) if request.param else content
            (tmp_path / (name + request.param)).write_bytes(packed)
    return tmp_path


def test_images_have_a_black_border(folder):
    source = FashionMNIST(folder, "train")
    assert (source.size, source.channels, len(source)) == (32, 1, 6)
    image = source.read(4)
    assert image.shape == (32, 32, 1) and image.dtype == np.uint8
    np.testing.assert_array_equal(image[2:30, 2:30, 0], images("train")[4])
    assert image.astype(int).sum() == images("train")[4].astype(int).sum()
    batch = source.batch([4])
    assert batch.dtype == np.float32 and batch.max() <= 1


def test_three_channels_repeat_the_grey_one(folder):
    image = FashionMNIST(folder, "train", channels=3).read(1)
    assert image.shape == (32, 32, 3) and (image == image[..., :1]).all()


def test_splits_are_the_files_of_the_publishers(folder):
    assert FashionMNIST(folder, "train").labels.tolist() == [0, 1, 2, 3, 4, 5]
    held_out = FashionMNIST(folder, "held_out")
    assert held_out.labels.tolist() == [0, 1, 2] and held_out.labels.dtype == np.int64
    np.testing.assert_array_equal(held_out.read(2)[2:30, 2:30, 0], images("t10k")[2])
    assert len(FashionMNIST(folder, "all")) == 9
    assert len(held_out.class_names) == 10 and held_out.class_names[9] == "ankle-boot"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (TRAIN_IMAGES, b"", "header"),
        (TRAIN_IMAGES, b"PK\x03\x04 something else", "header"),
        (TRAIN_IMAGES, idx(images("train"))[:10], "header"),
        (TRAIN_IMAGES, idx(images("train"))[:-1], "damaged: it has 4703 bytes.*says 4704"),
        (TRAIN_IMAGES, idx(images("train")) + b"x", "damaged"),
        (TRAIN_IMAGES, idx(np.zeros((6, 32, 32))), r"shape \(6, 32, 32\)"),
        (TRAIN_IMAGES, idx(np.zeros((0, 28, 28))), r"shape \(0, 28, 28\)"),
        (TRAIN_LABELS, idx(np.arange(6), magic=0x0803), "header"),
        (TRAIN_LABELS, idx(np.arange(5)), "5 labels for 6 images"),
        (TRAIN_LABELS, idx(np.full(6, 10)), "label 10"),
    ],
)
def test_damaged_and_foreign_files_are_refused_by_name(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}.* {message}"):
        FashionMNIST(folder, "train")


def test_damaged_compression_is_refused(tmp_path):
    path = tmp_path / f"{TRAIN_IMAGES}.gz"
    for content in (b"no gzip", gzip.compress(idx(images("train")))[:-20]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{TRAIN_IMAGES}.gz cannot be read"):
            FashionMNIST(tmp_path, "train")


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=f"there is no file .*{TRAIN_IMAGES}"):
        FashionMNIST(tmp_path, "train")
    with pytest.raises(InputError, match="there is no folder .*nowhere"):
        FashionMNIST(tmp_path / "nowhere")
    monkeypatch.setattr("vqv2.data.fashion_mnist.FOLDER", tmp_path / "nowhere")
    with pytest.raises(InputError, match="dataset-fashion-mnist.*fashion-mnist:FOLDER"):
        FashionMNIST()


def test_only_its_own_size_can_be_had(folder):
    with pytest.raises(InputError, match="size 32 only, not 64"):
        FashionMNIST(folder, size=64)
