"""Image files of every mode become the right 8-bit pixels, and damaged files a reason."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vqv2.data.decode import UnreadableImage, decode, inspect

NOISE = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


def pixels(path, at_least=1000):
    return np.asarray(decode(path, at_least))


def save(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("ending", ["png", "webp", "bmp", "tif", "ppm"])
def test_lossless_formats_keep_every_pixel(tmp_path, ending):
    path = save(tmp_path / f"a.{ending}", Image.fromarray(NOISE), **{"lossless": True})
    np.testing.assert_array_equal(pixels(path), NOISE)
    assert inspect(path) == (40, 40)


def test_grey_stays_grey(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(NOISE[..., 0]))
    np.testing.assert_array_equal(pixels(path), NOISE[..., 0])


def test_one_bit_becomes_black_and_white(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(NOISE[..., 0] > 127))
    np.testing.assert_array_equal(pixels(path), np.where(NOISE[..., 0] > 127, 255, 0))


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, ending):
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    path = save(tmp_path / f"a.{ending}", Image.fromarray(values))
    assert pixels(path).tolist() == [[0, 0, 1, 1, 128, 255]]


def test_integers_beyond_sixteen_bits_and_floats_are_refused(tmp_path):
    wide = save(tmp_path / "a.tif", Image.fromarray(np.array([[70000]], np.int32)))
    with pytest.raises(UnreadableImage, match="more than 16 bits"):
        decode(wide, 1)
    floats = save(tmp_path / "b.tif", Image.fromarray(np.array([[0.5]], np.float32)))
    with pytest.raises(UnreadableImage, match="floating-point"):
        decode(floats, 1)


def test_transparent_pixels_are_on_white(tmp_path):
    colours = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    path = save(tmp_path / "a.png", Image.fromarray(colours))
    assert pixels(path).tolist() == [[[255, 0, 0], [255, 255, 255], [127, 127, 127]]]


def test_a_palette_is_looked_up_and_its_transparent_colour_is_white(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert pixels(save(tmp_path / "a.png", image)).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    path = save(tmp_path / "b.png", image, transparency=1)
    assert pixels(path).tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_cmyk_becomes_rgb(tmp_path):
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    path = save(tmp_path / "a.jpg", cyan, quality=100)
    np.testing.assert_allclose(pixels(path)[8, 8].astype(int), [0, 255, 255], atol=3)


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    halves = np.zeros((16, 32, 3), np.uint8)
    halves[:, 16:] = 255
    path = save(tmp_path / "a.jpg", Image.fromarray(halves), exif=exif, quality=100)
    upright = pixels(path)
    assert upright.shape == (32, 16, 3)
    assert upright[:14].max() < 20 and upright[18:].min() > 235


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "webp", "png"])
def test_every_orientation_comes_out_upright(tmp_path, orientation, ending):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16], upright[:8, 16:], upright[8:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    # What a camera stores: the inverse of what the number asks for (EXIF 2.3, 4.6.4, tag 0x0112).
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(turned))
    path = save(tmp_path / f"a.{ending}", image, exif=exif, quality=100)
    found = pixels(path)
    assert found.shape == upright.shape
    np.testing.assert_allclose(found[4::8, 8::16].astype(int), upright[4::8, 8::16], atol=6)


def test_the_first_frame_of_an_animation_is_used(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert pixels(path)[0, 0].tolist() == [255, 0, 0]


def test_a_large_jpeg_is_decoded_small_but_not_too_small(tmp_path):
    path = save(tmp_path / "a.jpg", Image.new("RGB", (800, 400)))
    assert decode(path, 90).size == (200, 100)
    assert decode(path, 350).size == (800, 400)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.png", b"", "zero bytes"),
        ("a.jpg", b"this is no picture at all", "not an image"),
        ("a.ppm", b"P6 4 4 2x5 ", "cannot be decoded"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "cannot be decoded|not an image"),
    ],
)
def test_files_without_an_image_have_a_reason(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason):
        inspect(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "gif"])
def test_inspect_finds_files_that_were_cut_off(tmp_path, ending):
    path = save(tmp_path / f"a.{ending}", Image.fromarray(NOISE))
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(UnreadableImage):
        inspect(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "gif"])
def test_inspect_accepts_files_with_something_appended(tmp_path, ending):
    path = save(tmp_path / f"a.{ending}", Image.fromarray(NOISE))
    path.write_bytes(path.read_bytes() + b"a camera's trailing data")
    assert inspect(path) == (40, 40)


def write_png(path, header, rows):
    """A PNG file of these bytes: what Pillow does not write itself."""
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, body in chunks:
            checksum = struct.pack(">I", zlib.crc32(kind + body))
            file.write(struct.pack(">I", len(body)) + kind + body + checksum)
    return path


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (6, 4), (4, 2)])
def test_sixteen_bits_of_several_channels_keep_their_eight_highest(tmp_path, kind, channels):
    header = struct.pack(">IIBBBBB", 2, 1, 16, kind, 0, 0, 0)
    values = np.array([[0x12FF, 0x8000, 0xFFFF, 0xFFFF][:channels]] * 2, ">u2")
    if channels % 2 == 0:
        values[:, -1] = 0xFFFF  # opaque
    path = write_png(tmp_path / "a.png", header, b"\0" + values.tobytes())
    found = pixels(path)
    expected = [0x12] * 3 if channels == 2 else [0x12, 0x80, 0xFF]
    assert found.reshape(2, -1)[0].tolist() == expected[: found.reshape(2, -1).shape[1]]


def test_a_decompression_bomb_is_refused(tmp_path):
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path = write_png(tmp_path / "a.png", header, b"")
    with pytest.raises(UnreadableImage, match="bomb"):
        inspect(path)
