"""Image files of every mode become the right 8-bit pixels, and damaged files a reason."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from vqv2.data import decode as decode_module
from vqv2.data.decode import UnreadableImage, decode, decoded_pixels, inspect
from vqv2.data.formats import endings

NOISE = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


def pixels(path, at_least=1000):
    return np.asarray(decode(path, at_least))


def save(path, image, **options):
    image.save(path, **options)
    return path


def write_png(path, header, rows, extra=()):
    """A PNG file of these bytes: what Pillow does not write itself."""
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, body in chunks:
            checksum = struct.pack(">I", zlib.crc32(kind + body))
            file.write(struct.pack(">I", len(body)) + kind + body + checksum)
    return path


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "ending", ["png", "webp", "bmp", "tif", "ppm", "pnm", "tga", "qoi", "jp2", "dib"]
)
def test_lossless_formats_keep_every_pixel(tmp_path, ending):
    path = save(tmp_path / f"a.{ending}", Image.fromarray(NOISE), **{"lossless": True})
    np.testing.assert_array_equal(pixels(path), NOISE)
    assert inspect(path)[:2] == (40, 40)


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


@pytest.mark.parametrize(
    ("values", "mode", "reason"),
    [
        (np.array([[70000]], np.int32), None, "from 70000 to 70000: 16 bits"),
        (np.array([[-5, 3]], np.int32), None, "integers from -5 to 3: 16 bits"),
        (np.array([[0.5]], np.float32), None, "floating-point"),
        (np.zeros((1, 1, 3), np.uint8), "LAB", "colours are given as LAB: convert it to RGB"),
    ],
)
def test_what_is_not_understood_is_refused_at_once_and_again(tmp_path, values, mode, reason):
    """The index calls nothing usable that cannot be decoded."""
    path = save(tmp_path / "a.tif", Image.fromarray(values, mode))
    for read in (inspect, lambda path: decode(path, 1)):
        with pytest.raises(UnreadableImage, match=reason):
            read(path)


DEEP = np.array([[0, 2048, 4095]], np.uint16)


def deep_png(path, values, significant=None):
    kind = {2: 0, 3: 2}[values.ndim]
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    extra = [(b"sBIT", bytes([significant] * (1 if kind == 0 else 3)))] if significant else []
    return write_png(path, header, rows, extra)


def deep_tiff(path, values, tags):
    return save(path, Image.fromarray(values), format="TIFF", tiffinfo=tags)


def packed_tiff(path, values, bits=12):
    """A TIFF of 12 bits per sample, which Pillow does not write."""
    packed = int("".join(f"{value:012b}" for value in [*values.ravel(), 0]), 2)
    pixels = packed.to_bytes(3 * (values.size + 1) // 2, "big")
    fields = [(256, 3, values.shape[1]), (257, 3, values.shape[0]), (258, 3, bits), (259, 3, 1)]
    fields += [(262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 3, 1), (279, 4, len(pixels))]
    pixels += b"\0" * (len(pixels) % 2)
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in fields)
    start = struct.pack("<2sHI", b"II", 42, 8 + len(pixels))
    path.write_bytes(start + pixels + struct.pack("<H", len(fields)) + directory + b"\0" * 4)
    return path


@pytest.mark.parametrize(
    ("bits", "make"),
    [
        # What the file says itself.
        (None, lambda path: packed_tiff(path, DEEP)),
        (None, lambda path: deep_tiff(path, DEEP, {341: (4095,)})),
        (None, lambda path: deep_png(path, DEEP, significant=12)),
        (None, lambda path: deep_png(path, DEEP << 4 | DEEP >> 8, significant=12)),
        (None, lambda path: deep_png(path, np.stack([DEEP] * 3, -1), significant=12)),
        (None, lambda path: write(path, b"P5 3 1 4095 " + DEEP.astype(">u2").tobytes())),
        (None, lambda path: deep_tiff(path, 4095 - DEEP, {341: (4095,), 262: 0})),
        # What its owner says.
        (12, lambda path: deep_png(path, DEEP)),
        (12, lambda path: deep_png(path, DEEP, significant=20)),
        (12, lambda path: write(path, b"P5 3 1 65535 " + DEEP.astype(">u2").tobytes())),
        (12, lambda path: write(path, b"P2 3 1 65535 0 2048 4095")),
        (12, lambda path: save(path, Image.fromarray(DEEP), format="JPEG2000")),
        (12, lambda path: deep_png(path, np.stack([DEEP] * 3, -1))),
        (12, lambda path: deep_tiff(path, DEEP, {281: (2048,)})),
        (14, lambda path: deep_png(path, DEEP * 4)),
        (10, lambda path: deep_png(path, DEEP // 4)),
    ],
)
def test_values_of_fewer_bits_fill_the_range(tmp_path, make, bits):
    path = make(tmp_path / "a")
    found = np.asarray(decode(path, 1, bits))
    assert found.reshape(3, -1)[:, 0].tolist() == [0, 128, 255]
    assert inspect(path).bits == (bits or 0)
    if bits is None:  # then it does not matter what is said of the others
        np.testing.assert_array_equal(np.asarray(decode(path, 1, 10)), found)


def test_a_kind_of_tiff_that_pillow_does_not_know_is_called_that(tmp_path):
    with pytest.raises(UnreadableImage, match="TIFF that is damaged, or of a kind of pixels"):
        inspect(packed_tiff(tmp_path / "a.tif", DEEP, bits=14))


@pytest.mark.parametrize("values", [DEEP, np.stack([DEEP] * 3, -1)])
def test_bits_of_files_that_do_not_say_their_range_are_counted(tmp_path, values):
    assert inspect(deep_png(tmp_path / "a.png", values)).bits == 12
    assert inspect(deep_png(tmp_path / "b.png", values * 15)).bits == 16
    with pytest.raises(UnreadableImage, match="value 4095, but its white is 1023"):
        decode(tmp_path / "a.png", 1, 10)
    with_alpha = Image.fromarray(np.zeros((1, 1, 2), np.uint8))
    assert inspect(save(tmp_path / "c.png", with_alpha)).bits == 0


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
    assert inspect(path)[:2] == (40, 40)


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


def test_more_pixels_than_the_size_can_need_are_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(decode_module, "_FEW_PIXELS", 1600)
    image = Image.new("L", (80, 90))
    with pytest.raises(UnreadableImage, match="80 x 90 pixels, when at most 1600 are decoded"):
        decode(save(tmp_path / "a.png", image), 1)
    assert decode(tmp_path / "a.png", 3).size == (80, 90)
    assert max(decode(save(tmp_path / "a.jpg", image), 1).size) < 13  # made smaller at once


@pytest.mark.parametrize("ending", ["jpg", "jp2", "png"])
@pytest.mark.parametrize("size", [(100, 33), (64, 64), (7, 90)])
@pytest.mark.parametrize("at_least", [1, 5, 32])
def test_how_many_pixels_are_decoded_is_known_before(tmp_path, ending, size, at_least):
    path = save(tmp_path / f"a.{ending}", Image.new("L", size))
    found = inspect(path)
    expected = decoded_pixels(found.width, found.height, found.reducible, at_least)
    picture = decode(path, at_least)
    assert picture.width * picture.height == expected


def repeated(path, place, piece, **options):
    """The bytes of a small image with many of a `piece` at a place in the file."""
    content = save(path, Image.fromarray(NOISE), **options).read_bytes()
    place = content.index(place) if isinstance(place, bytes) else place
    return content[:place] + piece * 40_000 + content[place:]


EMPTY_CHUNK = struct.pack(">I4sI", 0, b"abCd", zlib.crc32(b"abCd"))
TAGS = b"\xff\xff" + bytes(12 * 65535)


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("a.ppm", lambda path: b"P6 #" + b"x" * 40_000 + b"\n1 1 255\n\0\0\0", "small pieces"),
        ("a.ppm", lambda path: b"P6 1 1 " + b" " * 40_000 + b"255\n\0\0\0", "small pieces"),
        ("a.png", lambda path: repeated(path, 33, EMPTY_CHUNK), "small pieces"),
        ("a.jpg", lambda path: repeated(path, 2, b"\xff\xfe\0\2"), "small pieces"),
        ("a.jpg", lambda path: repeated(path, 2, b"\xff"), "small pieces"),
        ("a.gif", lambda path: repeated(path, b",\0\0\0\0", b"!\xfe\1a\0"), "small pieces"),
        ("a.tif", lambda path: b"II*\0\x08\0\0\0" + TAGS, "65535 tags, more than 4096"),
        ("a.tif", lambda path: b"MM\0*\0\0\0\x08" + TAGS, "65535 tags, more than 4096"),
        ("a.tif", lambda path: b"II+\0\x08\0\0\0\x10" + bytes(8) + TAGS, "tags, more than 4096"),
    ],
)
def test_headers_that_would_keep_a_decoder_busy_are_refused(tmp_path, name, make, reason):
    path = tmp_path / name
    path.write_bytes(make(path))
    with pytest.raises(UnreadableImage, match=reason):
        inspect(path)


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_exif_of_too_many_tags_is_not_looked_into(tmp_path, name):
    exif = b"Exif\0\0II*\0\x08\0\0\0" + TAGS
    path = save(tmp_path / name, Image.fromarray(NOISE), exif=exif)
    with pytest.raises(UnreadableImage, match="65535 tags, more than 4096"):
        decode(path, 1)


def test_comments_of_a_ppm_are_read_over(tmp_path):
    path = write(tmp_path / "a.ppm", b"P6 # 1 2 3 4 5\n2 1 # 255\n255\n" + bytes([1, 2, 3] * 2))
    assert pixels(path).tolist() == [[[1, 2, 3], [1, 2, 3]]]


def test_endings_are_those_that_pillow_can_decode():
    assert {".pgm", ".pbm", ".jfif", ".jpe", ".tga", ".png"} <= set(endings())
    assert (".avif" in endings()) == features.check("avif")
    assert not {".eps", ".pdf", ".wmf", ".heic"} & set(endings())


def test_contents_decide_what_a_file_is_and_only_a_tga_needs_its_name(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(NOISE), format="TGA")
    with pytest.raises(UnreadableImage, match="not an image"):
        inspect(path)
    for ending, kind in (("tga", "PNG"), ("jpg", "BMP")):
        path = save(tmp_path / f"a.{ending}", Image.fromarray(NOISE), format=kind)
        np.testing.assert_array_equal(pixels(path), NOISE)
