"""Images in arrays, .npy and .npz files: what is accepted, and what is refused, and how."""

import os

import numpy as np
import pytest

from vqv2.data.array import ArrayImages
from vqv2.errors import InputError
from vqv2.files import ArrayFile

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
FLOATS = PIXELS / 255


def with_value(value):
    floats = FLOATS.astype(np.float32)
    floats[7, 1, 2, 0] = value
    return floats


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_every_accepted_type_gives_the_same_pixels(dtype):
    data = PIXELS if dtype == np.uint8 else FLOATS.astype(dtype)
    source = ArrayImages(data)
    assert (len(source), source.size, source.labels) == (50, 8, None)
    np.testing.assert_array_equal([source.read(index) for index in range(50)], PIXELS)
    batch = source.batch([4, 2])
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch, PIXELS[[4, 2]].astype(np.float32) / 255)


def test_floats_are_rounded_to_the_nearest_of_256_levels():
    data = np.array([0.0, 0.0019, 0.0021, 0.998, 0.9981, 1.0], np.float32)
    source = ArrayImages(np.tile(data[:, None, None], (1, 2, 2)), channels=1)
    levels = [source.read(index)[0, 0, 0] for index in range(len(data))]
    assert levels == [0, 0, 1, 254, 255, 255]


def test_grey_images_become_rgb_and_the_other_way_round():
    grey = ArrayImages(PIXELS[..., 0])
    np.testing.assert_array_equal(grey.read(3), np.repeat(PIXELS[3, ..., :1], 3, axis=-1))
    np.testing.assert_array_equal(
        ArrayImages(PIXELS[..., :1], channels=1).read(3), PIXELS[3, ..., :1]
    )
    assert ArrayImages(PIXELS, channels=1).read(3).shape == (8, 8, 1)


def test_larger_images_are_resized_and_cropped():
    source = ArrayImages(np.tile(PIXELS, (1, 2, 3, 1)), 8)
    assert source.read(0).shape == (8, 8, 3)
    flat = np.full((1, 20, 12, 3), 77, np.uint8)
    np.testing.assert_array_equal(ArrayImages(flat, 8).read(0), flat[0, :8, :8])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[..., 0], FLOATS])
def test_an_array_in_a_file_is_the_same(tmp_path, order, pixels):
    np.save(tmp_path / "a.npy", np.asarray(pixels, order=order))
    source, expected = ArrayImages(tmp_path / "a.npy"), ArrayImages(pixels)
    assert source.identity == expected.identity
    np.testing.assert_array_equal(source.batch(range(50)), expected.batch(range(50)))


def test_a_file_that_is_cut_while_it_is_read_is_named(tmp_path):
    """A mapped one would end the program with SIGBUS."""
    path = tmp_path / "a.npy"
    np.save(path, PIXELS)
    source = ArrayImages(path)
    os.truncate(path, 128 + 40 * 192 + 5)
    source.batch([39])
    with pytest.raises(InputError, match=r"a.npy has become shorter .* ends in row 40 of 50"):
        source.batch([40])
    np.save(path, PIXELS)
    assert source.batch([49]).shape == (1, 8, 8, 3)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    for name in ("a.npy", "a.npz"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match=f"{name} cannot be read: it is a FIFO, not a file"):
            ArrayImages(tmp_path / name)


def test_a_npy_file_is_not_loaded_and_is_split(tmp_path):
    path = tmp_path / "faces.npy"
    np.save(path, PIXELS)
    parts = [ArrayImages(path, split=split) for split in ("train", "held_out")]
    assert isinstance(parts[0]._images, ArrayFile)
    seen = [{source.read(i).tobytes() for i in range(len(source))} for source in parts]
    assert seen[1] and not seen[0] & seen[1] and len(seen[0] | seen[1]) == 50
    assert parts[0].name == "faces.npy"


def test_labels_follow_their_images(tmp_path):
    labels = np.arange(50) % 4
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=labels)
    source = ArrayImages(tmp_path / "a.npz", split="train")
    assert source.class_names == ("0", "1", "2", "3") and source.labels.dtype == np.int64
    places = {image.tobytes(): number for number, image in enumerate(PIXELS)}
    expected = [places[source.read(index).tobytes()] % 4 for index in range(len(source))]
    assert source.labels.tolist() == expected


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (with_value(np.nan), r"value nan at \[7, 1, 2, 0\]"),
        (with_value(np.inf), r"value inf at \[7, 1, 2, 0\]"),
        (with_value(-0.5), "value -0.5"),
        (with_value(255.0), "value 255.0"),
        (PIXELS.astype(np.int64), "are int64"),
        (PIXELS.astype(np.uint16), "are uint16: .*divide by .* 4095 for 12 bits"),
        (PIXELS[0, 0], r"shape \(8, 3\)"),
        (PIXELS[None], r"shape \(1, 50, 8, 8, 3\)"),
        (PIXELS[..., :2], r"shape \(50, 8, 8, 2\)"),
        (PIXELS.transpose(0, 3, 1, 2), r"shape \(50, 3, 8, 8\).*channels last"),
        (PIXELS[:0], "there are none"),
        (PIXELS[:, :6], "6 x 8, not square"),
    ],
)
def test_wrong_images_are_refused_naming_the_file(tmp_path, images, message):
    path = tmp_path / "wrong.npy"
    np.save(path, images)
    with pytest.raises(InputError, match=f"the images of wrong.npy.*{message}"):
        ArrayImages(path)


def test_a_bad_value_far_into_a_large_array_is_found(monkeypatch):
    monkeypatch.setattr("vqv2.data.array._CHECKED_AT_ONCE", 400)
    with pytest.raises(InputError, match=r"the array have the value nan at \[7, 1, 2, 0\]"):
        ArrayImages(with_value(np.nan))


def test_images_smaller_than_the_size_are_refused():
    with pytest.raises(InputError, match="too small: 8 x 8 pixels for a size of 9"):
        ArrayImages(PIXELS, 9)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(49), r"int64 of shape \(49,\)"),
        (np.zeros(50), "float64"),
        (np.arange(50) - 1, "from -1 to 48"),
        (np.arange(50) * 10**8, "fewer than"),
    ],
)
def test_wrong_labels_are_refused(tmp_path, labels, message):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=labels)
    with pytest.raises(InputError, match=f"the labels of a.npz.*{message}"):
        ArrayImages(tmp_path / "a.npz")


@pytest.mark.parametrize("fields", [{"x_train": PIXELS}, {"images": PIXELS, "more": PIXELS}])
def test_a_npz_with_other_fields_is_refused(tmp_path, fields):
    np.savez(tmp_path / "a.npz", **fields)
    with pytest.raises(InputError, match=f"a.npz has the fields {', '.join(map(repr, fields))}"):
        ArrayImages(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("keep", [0, 100, -900])
def test_damaged_files_are_refused(tmp_path, name, keep):
    path = tmp_path / name
    np.save(path, PIXELS) if name == "a.npy" else np.savez(path, images=PIXELS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=f"{name} cannot be read"):
        ArrayImages(path)


def test_pickled_objects_and_misnamed_files_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object))
    with pytest.raises(InputError, match="a.npy cannot be read"):
        ArrayImages(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", PIXELS)
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    with pytest.raises(InputError, match="b.npz is a single array"):
        ArrayImages(tmp_path / "b.npz")
    (tmp_path / "d.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match="d.npz cannot be read.*not a zip"):
        ArrayImages(tmp_path / "d.npz")
    with pytest.raises(InputError, match="there is no file"):
        ArrayImages(tmp_path / "c.npy")
