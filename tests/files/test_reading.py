"""Readers of foreign files: each refuses what it does not know in one short sentence, at once."""

import io
import json
import os
import struct
import zipfile

import numpy as np
import pytest

from vqv2.errors import DamagedError, InputError, MissingError
from vqv2.files import archive, json_lines, open_array, open_tensors, read_json, read_toml
from vqv2.files.text import Each, Many, Maybe, Number, Table, Text, Whole

REMEDY = "get another one"


def read_archive(path):
    with archive(path, REMEDY) as found:
        return {name: found.read(name) for name in found.names}


def read_tensors(path):
    with open_tensors(path, REMEDY) as found:
        return {name: found.read(name) for name in found.entries}


READERS = {
    "json": lambda path: read_json(path, REMEDY),
    "lines": lambda path: list(json_lines(path, REMEDY)),
    "toml": lambda path: read_toml(path, REMEDY),
    "npy": lambda path: open_array(path, REMEDY),
    "npz": read_archive,
    "safetensors": read_tensors,
}


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_not_waited_for(tmp_path, reader):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name, kind in (("fifo", "a FIFO"), ("folder", "a folder"), ("zero", "a device")):
        with pytest.raises(InputError, match=f"{name} cannot be read: it is {kind}"):
            READERS[reader](tmp_path / name)
    for name in ("nothing", "nothing/below"):
        with pytest.raises(MissingError, match="No such file"):
            READERS[reader](tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        READERS[reader](tmp_path / "a\0b")


def test_a_mark_before_the_text_is_passed_over(tmp_path):
    (tmp_path / "a.toml").write_text("steps = 3", "utf-8-sig")  # as some editors write
    assert read_toml(tmp_path / "a.toml", REMEDY) == {"steps": 3}


def npy(header, numbers=b"", version=b"\1\0"):
    header = header.encode()
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + numbers


def plain(shape, descr="'<u2'", order="False"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def npz(member, name="images.npy", declared=None):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, member)
    content = packed.getvalue()
    if declared is not None:  # the directory, at the end, is what is believed
        place = content.rindex(struct.pack("<I", len(member)))
        content = content[:place] + struct.pack("<I", declared) + content[place + 4 :]
    return content


def safe(header, numbers=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def entry(dtype="F32", shape=(1,), places=(0, 4)):
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": places}}


HOSTILE = [
    ("json", b"[" * 100_000, "nested too deeply"),
    ("json", b'{"a":' * 900 + b"1" + b"}" * 900, "nested more than"),
    ("json", b"[1]", "no JSON object"),
    ("json", b'{"a": ' + b"9" * 5000 + b"}", "it has a number of 5000 digits"),
    ("json", b'{"a": "\xff"}', "utf-8"),
    ("json", b"", "Expecting value"),
    ("toml", b"a = " + b"[" * 100_000, "line 1 has 100004 letters"),
    ("toml", b"a = " + b"[\n" * 100_000, "nested too deeply"),
    ("toml", b".".join([b"a"] * 50_000) + b" = 1", "letters"),
    ("npy", npy(plain("(99999999999999999999999, 2)")), "its shape is"),
    ("npy", npy(plain("(18446744073709551616,)")), "its shape is"),
    ("npy", npy(plain("(4611686018427387904, 4)")), "its shape is"),
    ("npy", npy(plain("(-4, 2)")), "not that of an array of numbers"),
    ("npy", npy(plain("(True, 2)")), "not that of an array of numbers"),
    ("npy", npy("(" * 60), "not that of an array of numbers"),
    ("npy", npy("-" * 8000), "its header has 8000 bytes"),
    ("npy", npy(plain("(1,)", "'i4,,'"), b"0000"), "not that of an array of numbers"),
    ("npy", npy(plain("(1,)", "'|O'"), b"00000000"), "it holds object"),
    ("npy", npy(plain("(1,)", "[('a', '<u2')]"), b"00"), "not that of an array of numbers"),
    ("npy", npy(plain("(1,)", "'<f3'"), b"000"), "does not know"),
    ("npy", npy(plain("(2,)"), b"000"), "4 bytes, but 3 follow"),
    ("npy", npy(plain("(1,)"), b"000"), "2 bytes, but 3 follow"),
    ("npy", npy(plain("(1,)"), b"00", b"\7\0"), "unknown version"),
    ("npy", b"\x93NUMPY\1\0", "requires a buffer"),
    ("npy", npy(plain("(1,)") + " " * 9)[:-5], "it ends within its header"),
    ("npz", npz(npy(plain("(99999999999999999999999,)"))), "its shape is"),
    ("npz", npz(npy(plain("(1000000000000,)"))), "bytes, but 0 follow"),
    ("npz", npz(npy(plain("(5,)"), b"0" * 10), declared=2**31), "as no pictures do"),
    ("npz", npz(npy(plain("(5,)"), b"0" * 10), declared=70), "Bad CRC"),
    ("npz", b"PK\3\4 nothing else", "not a zip file"),
    ("safetensors", safe(entry("BF16", (1,))), "has 4 bytes, not 2"),
    ("safetensors", safe(entry("F8_E4M3", (4,))), "is of 'F8_E4M3', which NumPy lacks"),
    ("safetensors", safe(entry(shape=[0, 2**62, 2**62], places=[0, 0])), "not a whole number"),
    ("safetensors", safe(entry(shape=[0, 2**59, 2**59], places=[0, 0])), "has the shape"),
    ("safetensors", safe(entry(shape=[1] * 100), b"0000"), "has the shape"),
    ("safetensors", safe(entry(shape=[2])), "has 4 bytes, not 8"),
    ("safetensors", safe(entry(places=[4, 8]), b"00000000"), "gaps"),
    ("safetensors", safe(entry(places=[0, 4, 8]), b"0000"), "its data_offsets"),
    ("safetensors", safe(entry(), b"000"), "end at byte"),
    ("safetensors", safe({"a": [1]}), "not an object"),
    ("safetensors", safe({"__metadata__": {"a": 1}}), "not text"),
    ("safetensors", safe({"\ud800": entry()["a"]}, b"0000"), "is no text"),
    ("safetensors", safe({"__metadata__": {"a": "\udfff"}}), "is no text"),
    ("safetensors", safe(b"[" * 100_000), "nested too deeply"),
    ("safetensors", struct.pack("<Q", 2**63) + b"{}", "cut off"),
]  # fmt: skip


@pytest.mark.parametrize(("reader", "content", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_contents_are_one_short_sentence(tmp_path, reader, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        READERS[reader](path)
    said = str(error.value)
    assert said.startswith(f"{path} ") and len(said) < len(str(path)) + 400
    assert "\n" not in said and "pickle" not in said
    assert isinstance(error.value, DamagedError) == said.endswith(REMEDY)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">f4").reshape(2, 3).T,
        np.float64(3),
        np.zeros((2, 0, 3), np.uint16),
        np.array(["a", "bc"]),
        np.arange(5) > 2,
    ],
)
def test_every_array_of_numbers_comes_back(tmp_path, array):
    path = tmp_path / "a"
    with open(path, "wb") as file:
        np.save(file, array)
    np.savez_compressed(tmp_path / "b.npz", a=array)
    for found in (open_array(path, REMEDY), read_archive(tmp_path / "b.npz")["a"]):
        np.testing.assert_array_equal(found, array)
        assert (found.dtype, found.shape) == (np.asarray(array).dtype, np.shape(array))


def test_lines_that_are_damaged_or_unfinished_are_left_out(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b'{"a": 1}\n{"a": \xff}\n[1]\n' + b"[" * 100_000 + b'\n{"a": 2}\n{"a": 3}')
    assert list(json_lines(path, REMEDY)) == [{"a": 1}, {"a": 2}]


SCHEMA = Table(
    {"step": Whole(1, 10), "names": Many(Text())},
    maybe={"best": Maybe(Table({"loss": Number()})), "counts": Each(Whole())},
    others=Number(finite=False),
)
GOOD = {"step": 3, "names": ["a"], "best": None, "counts": {"train": 4}, "rate": float("nan")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": True}, "its 'step' is True, not a whole number from 1 to 10"),
        ({"step": 11}, "its 'step' is 11"),
        ({"step": 3.0}, "its 'step' is 3.0"),
        ({"names": "a"}, "its 'names' is 'a', not a list"),
        ({"names": ["a", None]}, "its 'names'.1 is None, not text"),
        ({"best": {}}, "its 'best' lacks 'loss'"),
        ({"best": {"loss": float("inf")}}, "its 'best'.'loss' is inf, not a finite number"),
        ({"counts": {"train": -1}}, "its 'counts'.'train' is -1"),
        ({"rate": "1"}, "its 'rate' is '1', not a number"),
        ({"rate": 10**400}, "its 'rate' is 1000"),
    ],
)
def test_a_schema_says_where_what_is_wrong(change, message):
    SCHEMA.check(GOOD)
    with pytest.raises(ValueError) as error:
        SCHEMA.check({**GOOD, **change})
    assert message in str(error.value)
