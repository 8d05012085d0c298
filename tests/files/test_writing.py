"""A failed write leaves the former file and no litter; a good one is durable and complete."""

import errno
import json
import math
import os
import stat
import time

import numpy as np
import pytest

from vqv2.errors import InputError
from vqv2.files.writing import ABANDONED, atomic_write, check_writable, make_folder, write_json


@pytest.fixture
def former(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("former")
    return path


def no_space(*_arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def assert_untouched(path):
    assert path.read_text() == "former"
    assert os.listdir(path.parent) == [path.name]


def test_the_new_contents_replace_the_former(former):
    with atomic_write(former) as temporary:
        temporary.write_text("new")
        assert former.read_text() == "former"
    assert former.read_text() == "new"
    assert os.listdir(former.parent) == [former.name]


def test_numbers_that_json_does_not_know_become_null(former):
    row = {"psnr": math.inf, "error": np.float64(-np.inf), "count": 2, "share": 0.5, "name": "nan"}
    write_json(former, {"rows": [row, (math.nan, 1)], "none": None})
    expected = {"psnr": None, "error": None, "count": 2, "share": 0.5, "name": "nan"}
    text = former.read_text()
    assert json.loads(text) == {"rows": [expected, [None, 1]], "none": None}
    assert text.count("null") == 4 and text.endswith("}\n")


def test_the_temporary_file_lies_in_the_same_folder(former):
    with atomic_write(former) as temporary:
        assert temporary.parent == former.parent
        temporary.write_text("new")


def test_missing_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "c.txt"
    with atomic_write(str(path)) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_the_contents_are_on_the_disk_before_they_take_the_place(former, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(descriptor):
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            events.append(("fsync", os.fstat(descriptor).st_size))
        fsync(descriptor)

    def recorded_replace(source, target):
        events.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    with atomic_write(former) as temporary:
        temporary.write_text("new")
    assert events == [("fsync", 3), "replace"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_at_the_end_leaves_the_former_file(former, monkeypatch, step):
    monkeypatch.setattr(os, step, no_space)
    with (
        pytest.raises(InputError, match="result.txt: No space left on device"),
        atomic_write(former) as temporary,
    ):
        temporary.write_text("new")
    assert_untouched(former)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_really_full_device_leaves_the_former_file(former):
    with (
        pytest.raises(InputError, match="result.txt: No space left on device"),
        atomic_write(former) as temporary,
    ):
        temporary.symlink_to("/dev/full")
        temporary.write_text("new")
    assert_untouched(former)


@pytest.mark.parametrize("failure", [ValueError("a bug"), KeyboardInterrupt()])
def test_another_failure_passes_through_and_leaves_the_former_file(former, failure):
    with pytest.raises(type(failure)) as raised, atomic_write(former) as temporary:
        temporary.write_text("half")
        raise failure
    assert raised.value is failure
    assert_untouched(former)


def test_a_folder_that_cannot_be_made_is_named(former):
    with (
        pytest.raises(InputError, match="cannot write .*result.txt/below.txt: "),
        atomic_write(former / "below.txt") as temporary,
    ):
        temporary.write_text("new")
    assert_untouched(former)


def test_a_folder_in_the_place_of_the_file_stays(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(InputError, match="Is a directory"), atomic_write(path) as temporary:
        temporary.write_text("new")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_without_permission_is_named(former):
    former.parent.chmod(0o500)
    try:
        with (
            pytest.raises(InputError, match="Permission denied"),
            atomic_write(former) as temporary,
        ):
            temporary.write_text("new")
    finally:
        former.parent.chmod(0o700)
    assert_untouched(former)


def test_only_what_was_left_behind_long_ago_is_removed(former):
    left, in_use, other = (
        former.with_name(name)
        for name in (".result.txt.1.partial", ".result.txt.2.partial", ".other.txt.1.partial")
    )
    long_ago = time.time() - ABANDONED - 10
    for path in (left, in_use, other):
        path.write_text("half")
    for path in (left, other):
        os.utime(path, (long_ago, long_ago))
    with atomic_write(former) as temporary:
        temporary.write_text("new")
    assert not left.exists() and in_use.exists() and other.exists()


def test_what_can_be_written_is_known_beforehand(former):
    check_writable(former)
    check_writable(former.parent / "new" / "folder" / "file.txt")
    with pytest.raises(InputError, match="it is a folder"):
        check_writable(former.parent)
    with pytest.raises(InputError, match="result.txt is a file, not a folder"):
        check_writable(former / "below.txt")
    assert_untouched(former)


@pytest.mark.parametrize("write", [check_writable, lambda path: atomic_write(path).__enter__()])
def test_no_name_is_refused(write):
    with pytest.raises(InputError, match="cannot write '': it names no file"):
        write("")
    with pytest.raises(InputError, match="samples/: that is the name of a folder; give that of"):
        write("samples/")


def test_a_name_that_promises_something_else_is_refused(former):
    check_writable(former.with_name("a.PNG"), (".png", ".npz"))
    for name in ("a.npy", "a", "a.png.txt"):
        with pytest.raises(InputError, match="the name must end in .png or .npz"):
            check_writable(former.with_name(name), (".png", ".npz"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 240 + ".png", "the name is too long"),  # the temporary file's is longer
        ("new/" + "x" * 300 + "/a.png", "the name is too long"),
        ("d/" * 2500 + "a.png", "the path is too long"),
        ("a\0.png", "there is a zero byte in it"),
        ("nowhere/a.png", "nowhere is a link that leads nowhere"),
        ("fifo", "it is a device or a FIFO"),
    ],
)
def test_what_the_system_would_refuse_at_the_end_is_known_beforehand(tmp_path, name, message):
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match=message) as error:
        check_writable(f"{tmp_path}/{name}")
    assert str(error.value).startswith("cannot write ")


def test_a_folder_that_a_link_does_not_lead_to_is_named(tmp_path):
    (tmp_path / "run").symlink_to(tmp_path / "missing")
    with pytest.raises(InputError, match="cannot write in .*prior: .*run is a link that leads no"):
        make_folder(tmp_path / "run" / "prior")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_the_longest_name_can_be_written(tmp_path):
    longest = 255 - len(f"..{os.getpid()}.partial")
    path = tmp_path / ("x" * longest)
    check_writable(path)
    with atomic_write(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_a_folder_that_may_not_be_written_in_is_known_beforehand(former, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="is not permitted"):
        check_writable(former)
