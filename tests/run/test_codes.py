"""Stores of codes: what is read is what was written, at any size, without reading all of it."""

import os
import resource

import numpy as np
import pytest

from vqv2.errors import InputError
from vqv2.run import code_writing
from vqv2.run import codes as codes_module
from vqv2.run.code_writing import write_codes
from vqv2.run.codes import open_codes

IMAGENET = {"train": 1_281_167, "held_out": 50_000}


def write(folder, counts=None, class_names=("a", "b")):
    """A store of random codes; {split: {level: codes}}."""
    rng, written = np.random.default_rng(0), {}
    counts = counts or {"train": 7, "held_out": 3}
    with write_codes(folder, ("top", "bottom"), (2, 4), counts, class_names, "me", "it") as arrays:
        for split, count in counts.items():
            for level, size in (("top", 2), ("bottom", 4)):
                maps = rng.integers(0, 512, (count, size, size))
                for start in range(0, count, 2):
                    arrays[split][level][start : start + 2] = maps[start : start + 2]
                written.setdefault(split, {})[level] = maps
            if class_names:
                arrays[split]["labels"][:] = np.arange(count) % 2
    return written


def flip_bit(path, place=-1):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.fixture
def large(monkeypatch):
    """Treat small stores like those that are too large to be verified when they are opened."""
    monkeypatch.setattr(codes_module, "VERIFIED_AT_ONCE", 0)


def test_what_is_read_is_what_was_written(tmp_path):
    written = write(tmp_path / "codes")
    store = open_codes(tmp_path / "codes", "me")
    assert store.levels == ("top", "bottom") and store.counts == {"train": 7, "held_out": 3}
    assert store.bytes == 10 * (4 + 16) * 2
    for split, levels in written.items():
        for level, maps in levels.items():
            np.testing.assert_array_equal(store.codes(split, level), maps)
            some = store.read(split, level, np.array([2, 0, 2]))
            assert some.dtype == np.uint16
            np.testing.assert_array_equal(some, maps[[2, 0, 2]])
    assert store.labels("held_out").tolist() == [0, 1, 0]
    with pytest.raises(InputError, match="another autoencoder"):
        open_codes(tmp_path / "codes", "you")


def test_a_store_without_classes_and_without_held_out_images(tmp_path):
    write(tmp_path / "codes", {"train": 1}, class_names=())
    store = open_codes(tmp_path / "codes")
    assert store.labels("train") is None and len(store.read("train", "top", [0])) == 1


def test_a_small_damaged_store_is_refused_when_it_is_opened(tmp_path):
    write(tmp_path / "codes")
    flip_bit(tmp_path / "codes" / "train-bottom.npy")
    with pytest.raises(InputError, match=r"train-bottom\.npy is damaged in map 6"):
        open_codes(tmp_path / "codes")


def test_in_a_large_store_a_damaged_map_is_named_when_it_is_read(tmp_path, large):
    written = write(tmp_path / "codes")
    flip_bit(tmp_path / "codes" / "train-bottom.npy", -1 - 2 * 32)
    store = open_codes(tmp_path / "codes")
    whole = np.array([6, 0, 5])
    np.testing.assert_array_equal(
        store.read("train", "bottom", whole), written["train"]["bottom"][whole]
    )
    for indices in (np.array([6, 4]), slice(3, 6)):
        with pytest.raises(InputError, match=r"train-bottom\.npy is damaged in map 4"):
            store.read("train", "bottom", indices)
    with pytest.raises(InputError, match="map 4"):
        store.verify()


@pytest.mark.parametrize("name", ["train-labels.npy", "held_out-top-crc.npy", "manifest.json"])
def test_other_files_are_always_verified(tmp_path, large, name):
    write(tmp_path / "codes")
    flip_bit(tmp_path / "codes" / name)
    with pytest.raises(InputError, match=name):
        open_codes(tmp_path / "codes")


@pytest.mark.parametrize("length", [0, 100, 200])
def test_a_file_that_was_cut_off_or_swapped_is_an_error_not_a_crash(tmp_path, large, length):
    write(tmp_path / "codes")
    path = tmp_path / "codes" / "train-bottom.npy"
    os.truncate(path, length)
    with pytest.raises(InputError, match="train-bottom.npy"):
        open_codes(tmp_path / "codes")
    path.write_bytes((tmp_path / "codes" / "held_out-bottom.npy").read_bytes())
    with pytest.raises(InputError, match="train-bottom.npy is damaged"):
        open_codes(tmp_path / "codes")


def test_a_map_that_was_never_written_is_a_damaged_one(tmp_path):
    with write_codes(tmp_path / "codes", ("top",), (2,), {"train": 3}, (), "me", "it") as arrays:
        arrays["train"]["top"][0:2] = np.ones((2, 2, 2), int)
    with pytest.raises(InputError, match="map 2"):
        open_codes(tmp_path / "codes")


def test_codes_of_an_earlier_version_say_so(tmp_path):
    (tmp_path / "manifest.json").write_text('{"format": "vqv2 codes 1"}')
    with pytest.raises(InputError, match="earlier version: extract"):
        open_codes(tmp_path)


def test_a_full_disk_is_an_error_before_anything_is_written(tmp_path, monkeypatch):
    write(tmp_path / "codes")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match="No space left"):
        write(tmp_path / "codes")
    open_codes(tmp_path / "codes")


def test_where_space_cannot_be_reserved_it_is_filled(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    path = tmp_path / "a.npy"
    code_writing._create_array(path, np.uint16, (700_000, 2))
    assert path.stat().st_blocks * 512 >= 700_000 * 4


def resident():
    """Bytes of this process's own memory, without what is mapped from files."""
    with open("/proc/self/statm") as file:
        _, pages, shared = map(int, file.read().split()[:3])
    return (pages - shared) * resource.getpagesize()


def test_a_store_of_imagenets_size_is_written_and_read_without_loading_it(tmp_path, monkeypatch):
    """13 GB of codes in sparse files: nothing is on the disk but what is written."""
    monkeypatch.setattr(code_writing, "_reserve", lambda *_: None)
    levels, sizes, rng = ("top", "bottom"), (32, 64), np.random.default_rng(0)
    before = resident()
    names = [str(number) for number in range(1000)]
    written = {}
    with write_codes(tmp_path / "codes", levels, sizes, IMAGENET, names, "me", "it") as arrays:
        for level, size in zip(levels, sizes, strict=True):
            for start in (0, 640_000, IMAGENET["train"] - 16):
                maps = rng.integers(0, 512, (16, size, size), dtype=np.uint16)
                arrays["train"][level][start : start + 16] = maps
                written[level, start] = maps
    store = open_codes(tmp_path / "codes")
    assert store.bytes == 13_631_150_080
    assert sum(f.stat().st_blocks for f in store.folder.iterdir()) * 512 < 50e6
    for (level, start), maps in written.items():
        indices = start + rng.permutation(16)
        np.testing.assert_array_equal(store.read("train", level, indices), maps[indices - start])
    with pytest.raises(InputError, match="train-top.npy is damaged in map 640016"):
        store.read("train", "top", [640_016])
    assert resident() - before < 100e6


def go_on(folder, settings, fill, counts=None, source=("it", None)):
    """Write the maps of one more attempt: `fill(maps)`; what was there before it."""
    counts, (name, identity) = counts or {"train": 6}, source
    store = write_codes(folder, ("top",), (2,), counts, ("a",), "me", name, settings, identity)
    with store as arrays:
        maps = arrays["train"]["top"]
        there = [maps.written(slice(i, i + 2)) for i in (0, 2, 4)]
        arrays["train"]["labels"][:] = 0
        fill(maps)
    return there


def ended_after_two(maps):
    maps[0:2] = np.zeros((2, 2, 2), int)
    raise KeyboardInterrupt


def test_writing_goes_on_where_it_was_ended(tmp_path):
    folder = tmp_path / "codes"
    with pytest.raises(KeyboardInterrupt):
        go_on(folder, {"copies": 1}, ended_after_two)
    assert not folder.exists()

    def rest(maps):
        maps[2:4] = np.ones((2, 2, 2), int)
        maps[4:6] = np.ones((2, 2, 2), int)

    assert go_on(folder, {"copies": 1}, rest) == [True, False, False]
    assert open_codes(folder).read("train", "top", slice(0, 6)).sum() == 16
    assert [path.name for path in tmp_path.iterdir()] == ["codes"]
    assert "begun.json" not in [path.name for path in folder.iterdir()]


def test_a_map_that_was_half_written_is_not_there(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        go_on(tmp_path / "codes", {}, ended_after_two)
    flip_bit(tmp_path / "codes.partial" / "train-top.npy", 128 + 3)  # behind NumPy's header
    assert go_on(tmp_path / "codes", {}, lambda maps: None) == [False, False, False]


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", None])
@pytest.mark.parametrize("name", ["train-top", "train-top-crc"])
def test_a_damaged_file_of_an_attempt_is_begun_anew(tmp_path, name, content):
    with pytest.raises(KeyboardInterrupt):
        go_on(tmp_path / "codes", {}, ended_after_two)
    path = tmp_path / "codes.partial" / f"{name}.npy"
    if content is None:  # a file of another store
        np.save(path, np.zeros((6, 3), np.uint16))
    else:
        path.write_bytes(content)

    def fill(maps):
        maps[0:6] = np.ones((6, 2, 2), int)

    assert go_on(tmp_path / "codes", {}, fill)[1:] == [False, False]
    assert open_codes(tmp_path / "codes").read("train", "top", slice(0, 6)).sum() == 24


@pytest.mark.parametrize("other", [{"settings": {"copies": 2}}, {"counts": {"train": 8}}])
def test_what_was_begun_with_other_settings_is_begun_anew(tmp_path, other):
    folder = tmp_path / "codes"
    with pytest.raises(KeyboardInterrupt):
        go_on(folder, {"copies": 1}, ended_after_two)
    again = {"settings": {"copies": 1}, "fill": lambda maps: None, **other}
    assert go_on(folder, **again)[:1] == [False]


@pytest.mark.parametrize(
    ("before", "now", "goes_on"),
    [
        (("photos", "12ab"), ("moved", "12ab"), True),
        (("photos", "12ab"), ("photos", "34cd"), False),
        (("photos", None), ("photos", "12ab"), True),  # begun by an earlier version
        (("photos", None), ("moved", "12ab"), False),
    ],
)
def test_images_are_known_by_their_identity_where_there_is_one(tmp_path, before, now, goes_on):
    folder = tmp_path / "codes"
    with pytest.raises(KeyboardInterrupt):
        go_on(folder, {}, ended_after_two, source=before)

    def all_of_them(maps):
        maps[0:6] = np.ones((6, 2, 2), int)

    assert go_on(folder, {}, all_of_them, source=now)[0] == goes_on
    manifest = open_codes(folder).manifest
    assert (manifest["source"], manifest["source_identity"]) == now


def ones(maps):
    maps[0:6] = np.ones((6, 2, 2), int)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed_again_and_again(tmp_path, there):
    """Codes may be on another disk; what was written first is replaced there, too."""
    disk, folder = tmp_path / "disk", tmp_path / "run" / "codes"
    folder.parent.mkdir()
    disk.mkdir()
    folder.symlink_to(disk / "codes")
    if there:
        (disk / "codes").mkdir()
    for copies in (1, 2, 3):
        go_on(folder, {"copies": copies}, ones)
        assert folder.is_symlink() and os.listdir(disk) == ["codes"]
        assert open_codes(folder).manifest["settings"] == {"copies": copies}
    assert os.listdir(folder.parent) == ["codes"]


def test_a_place_that_a_store_cannot_take_is_known_beforehand(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "away").symlink_to(tmp_path / "not" / "mounted")
    for name, message in (("file", "is no folder"), ("loop", "no folder"), ("away", "make it")):
        with pytest.raises(InputError, match=message):
            go_on(tmp_path / name, {}, lambda maps: pytest.fail("begun"))


@pytest.mark.parametrize("settings", [{"copies": 1}, None])
def test_a_finished_store_outlives_a_failed_rename(tmp_path, monkeypatch, settings):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    write(tmp_path / "codes")
    monkeypatch.setattr(code_writing, "_take_place", refuse)
    with pytest.raises(InputError, match="not permitted; they are complete in .*codes.partial"):
        go_on(tmp_path / "codes", settings, ones)
    open_codes(tmp_path / "codes").verify()
    open_codes(tmp_path / "codes.partial").verify()
    monkeypatch.undo()
    if settings:
        assert go_on(tmp_path / "codes", settings, lambda maps: None) == [True, True, True]
        assert os.listdir(tmp_path) == ["codes"]


def test_the_index_names_the_image_of_each_row(tmp_path):
    rows = [{"split": "train", "row": row, "copy": 0, "image": f"a/{row}\udcff"} for row in (0, 1)]
    store = write_codes(
        tmp_path / "codes", ("top",), (2,), {"train": 2}, (), "me", "it", rows=iter(rows)
    )
    with store as arrays:
        arrays["train"]["top"][0:2] = np.ones((2, 2, 2), int)
    assert list(open_codes(tmp_path / "codes").rows()) == rows
    flip_bit(tmp_path / "codes" / "index.jsonl", 30)
    with pytest.raises(InputError, match="index.jsonl is damaged"):
        open_codes(tmp_path / "codes")


@pytest.mark.parametrize("place", range(0, 128, 3))
def test_a_bit_in_a_header_is_damage_and_nothing_else(tmp_path, place):
    """The commands that mend a store have to come through this, too."""
    write(tmp_path / "codes")
    path = tmp_path / "codes" / "held_out-bottom.npy"
    for bit in range(8):
        content = bytearray(path.read_bytes())
        content[place] ^= 1 << bit
        path.write_bytes(content)
        try:
            open_codes(tmp_path / "codes")
        except InputError as error:
            assert "extract the codes again" in str(error)
        content[place] ^= 1 << bit
        path.write_bytes(content)


def test_without_settings_nothing_is_left_of_an_attempt(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        go_on(tmp_path / "codes", None, ended_after_two)
    assert list(tmp_path.iterdir()) == []
