"""Stores of codes: what is read is what was written, at any size, without reading all of it."""

import os
import resource
import shutil

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
    labels = {split: np.arange(count) % 2 for split, count in counts.items() if class_names}
    what = (("top", "bottom"), (2, 4), counts, class_names, "me", "it")
    with write_codes(folder, *what, labels=labels) as writer:
        for split, count in counts.items():
            sizes = {"top": 2, "bottom": 4}
            maps = {k: rng.integers(0, 512, (count, size, size)) for k, size in sizes.items()}
            for start in range(0, count, 2):
                part = slice(start, start + 2)
                writer.write(split, start, {level: one[part] for level, one in maps.items()})
            written[split] = maps
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
            some = store.codes(split, level)[np.array([2, 0, 2])]
            assert some.dtype == np.uint16
            np.testing.assert_array_equal(some, maps[[2, 0, 2]])
    assert store.labels("held_out").tolist() == [0, 1, 0]
    with pytest.raises(InputError, match="another autoencoder"):
        open_codes(tmp_path / "codes", "you")


def test_a_store_without_classes_and_without_held_out_images(tmp_path):
    write(tmp_path / "codes", {"train": 1}, class_names=())
    store = open_codes(tmp_path / "codes")
    assert store.labels("train") is None and len(store.codes("train", "top")[[0]]) == 1


def test_a_small_damaged_store_is_refused_when_it_is_opened(tmp_path):
    write(tmp_path / "codes")
    flip_bit(tmp_path / "codes" / "train-bottom.npy")
    with pytest.raises(InputError, match=r"train-bottom\.npy is damaged"):
        open_codes(tmp_path / "codes")


def test_a_large_damaged_store_is_found_by_who_reads_all_of_it(tmp_path, large):
    write(tmp_path / "codes")
    flip_bit(tmp_path / "codes" / "train-bottom.npy")
    store = open_codes(tmp_path / "codes")
    for read_all in (store.verify, lambda: open_codes(tmp_path / "codes", everything=True)):
        with pytest.raises(InputError, match=r"train-bottom\.npy is damaged"):
            read_all()


@pytest.mark.parametrize("name", ["train-labels.npy", "index.jsonl", "manifest.json"])
def test_other_files_are_always_verified(tmp_path, large, name):
    write(tmp_path / "codes")
    os.truncate(tmp_path / "codes" / name, 150)
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


def test_a_store_with_a_map_missing_does_not_become_one(tmp_path):
    what = (("top",), (2,), {"train": 3}, (), "me", "it")
    with pytest.raises(ValueError, match="2 of 3 images"):  # noqa: SIM117
        with write_codes(tmp_path / "codes", *what) as writer:
            writer.write("train", 0, {"top": np.ones((2, 2, 2), int)})
            with pytest.raises(ValueError, match="gap"):
                writer.write("train", 3, {"top": np.ones((1, 2, 2), int)})
    assert not (tmp_path / "codes").exists()


def test_a_full_disk_is_an_error_before_anything_is_written(tmp_path, monkeypatch):
    write(tmp_path / "codes")
    free = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(InputError, match="they take .* and 1e-07 GB are free: make room"):
        write(tmp_path / "codes")
    open_codes(tmp_path / "codes")


def resident():
    """Bytes of this process's own memory, without what is mapped from files."""
    with open("/proc/self/statm") as file:
        _, pages, shared = map(int, file.read().split()[:3])
    return (pages - shared) * resource.getpagesize()


def test_a_store_of_imagenets_size_is_written_and_read_without_loading_it(tmp_path, monkeypatch):
    """13 GB of codes in sparse files: nothing is on the disk but what is written."""
    monkeypatch.setattr(code_writing, "file_checksum", lambda *_: "of 13 GB")
    monkeypatch.setattr(codes_module, "file_checksum", lambda *_: "of 13 GB")
    levels, sizes, rng = ("top", "bottom"), (32, 64), np.random.default_rng(0)
    before = resident()
    names = [str(number) for number in range(1000)]
    labels = {split: np.zeros(count) for split, count in IMAGENET.items()}
    what, written = (levels, sizes, IMAGENET, names, "me", "it"), {}
    with write_codes(tmp_path / "codes", *what, labels=labels) as writer:
        for split, count in IMAGENET.items():
            start = count - 16
            for level, size in zip(levels, sizes, strict=True):
                path = tmp_path / "codes.partial" / f"{split}-{level}.npy"
                os.truncate(path, 128 + start * size * size * 2)  # as if those before were here
            maps = {k: rng.integers(0, 512, (16, s, s)) for k, s in zip(levels, sizes, strict=True)}
            writer.write(split, start, maps)
            written[split] = maps
    store = open_codes(tmp_path / "codes")
    assert store.bytes == 13_631_150_080
    assert sum(f.stat().st_blocks for f in store.folder.iterdir()) * 512 < 50e6
    for split, levels in written.items():
        for level, maps in levels.items():
            chosen = rng.permutation(16)
            found = store.codes(split, level)[IMAGENET[split] - 16 + chosen]
            np.testing.assert_array_equal(found, maps[chosen])
    assert resident() - before < 100e6


def go_on(folder, settings, fill, counts=None, source=("it", None)):
    """Write the maps of one more attempt, `fill(writer)`; how many were there before it."""
    counts, (name, identity) = counts or {"train": 6}, source
    labels = {"train": np.zeros(counts["train"])}
    what = (("top",), (2,), counts, ("a",), "me", name, settings, identity, labels)
    with write_codes(folder, *what) as writer:
        there = writer.written("train")
        fill(writer)
    return there


def filled(start, stop, value=1):
    """A function that writes these maps."""
    codes = {"top": np.full((stop - start, 2, 2), value)}
    return lambda writer: writer.write("train", start, codes)


def ended_after_two(writer):
    filled(0, 2, 0)(writer)
    raise KeyboardInterrupt


ones = filled(0, 6)


def test_writing_goes_on_where_it_was_ended(tmp_path):
    folder = tmp_path / "codes"
    with pytest.raises(KeyboardInterrupt):
        go_on(folder, {"copies": 1}, ended_after_two)
    assert not folder.exists()
    assert go_on(folder, {"copies": 1}, filled(2, 6)) == 2
    assert open_codes(folder).codes("train", "top")[:].sum() == 16
    assert [path.name for path in tmp_path.iterdir()] == ["codes"]


def test_a_map_that_was_half_written_is_not_there(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        go_on(tmp_path / "codes", {}, ended_after_two)
    os.truncate(tmp_path / "codes.partial" / "train-top.npy", 128 + 8 + 3)
    assert go_on(tmp_path / "codes", {}, filled(1, 6)) == 1
    assert open_codes(tmp_path / "codes").codes("train", "top")[:].sum() == 20


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", None, "longer"])
def test_a_damaged_file_of_an_attempt_is_begun_anew(tmp_path, content):
    with pytest.raises(KeyboardInterrupt):
        go_on(tmp_path / "codes", {}, ended_after_two)
    path = tmp_path / "codes.partial" / "train-top.npy"
    if content is None:  # a file of another store
        np.save(path, np.zeros((6, 3), np.uint16))
    elif content == "longer":
        os.truncate(path, 10_000)
    else:
        path.write_bytes(content)
    assert go_on(tmp_path / "codes", {}, ones) == 0
    assert open_codes(tmp_path / "codes").codes("train", "top")[:].sum() == 24


@pytest.mark.parametrize(
    ("other", "goes_on"),
    [
        ({"settings": {"copies": 2}}, False),
        ({"counts": {"train": 8}, "fill": filled(0, 8)}, False),
        ({"source": ("photos", "34cd")}, False),
        ({"source": ("moved", "12ab")}, True),  # images are known by their identity
    ],
)
def test_what_was_begun_with_other_settings_is_begun_anew(tmp_path, other, goes_on):
    folder, source = tmp_path / "codes", ("photos", "12ab")
    with pytest.raises(KeyboardInterrupt):
        go_on(folder, {"copies": 1}, ended_after_two, source=source)
    again = {"settings": {"copies": 1}, "fill": ones, "source": source, **other}
    assert go_on(folder, **again) == (2 if goes_on else 0)
    manifest = open_codes(folder).manifest
    assert (manifest["source"], manifest["source_identity"]) == again["source"]


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
            go_on(tmp_path / name, {}, lambda writer: pytest.fail("begun"))


def test_a_finished_store_outlives_a_failed_rename(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    write(tmp_path / "codes")
    monkeypatch.setattr(code_writing, "_take_place", refuse)
    with pytest.raises(InputError, match="not permitted; they are complete in .*codes.partial"):
        go_on(tmp_path / "codes", {"copies": 1}, ones)
    open_codes(tmp_path / "codes").verify()
    open_codes(tmp_path / "codes.partial").verify()
    monkeypatch.undo()
    assert go_on(tmp_path / "codes", {"copies": 1}, lambda writer: None) == 6
    assert os.listdir(tmp_path) == ["codes"]


def test_the_index_names_the_image_of_each_row(tmp_path):
    rows = [{"split": "train", "row": row, "copy": 0, "image": f"a/{row}\udcff"} for row in (0, 1)]
    store = write_codes(
        tmp_path / "codes", ("top",), (2,), {"train": 2}, (), "me", "it", rows=iter(rows)
    )
    with store as writer:
        writer.write("train", 0, {"top": np.ones((2, 2, 2), int)})
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
