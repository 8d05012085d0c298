"""The index of a folder: right after every kind of change, and made anew only where it must be."""

import os

import numpy as np
import pytest
from PIL import Image

from vqv2.data import index as index_module
from vqv2.data.folder import FolderImages
from vqv2.data.index import index_file, open_index
from vqv2.data.listing import list_images
from vqv2.data.workers import Workers
from vqv2.errors import InputError
from vqv2.training.signals import Stopped


def write(path, size=(16, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (9, 9, 9)).save(path)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where indexes are kept, of small folders, too."""
    monkeypatch.setenv("VQV2_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(index_module, "KEPT_FROM", 1)
    return tmp_path / "cache" / "indexes"


@pytest.fixture
def images(tmp_path):
    for number in range(6):
        folder = tmp_path / "images" / ("a" if number < 3 else "b")
        write(folder / f"{number}.png", (16 + number, 16 + number))
    return tmp_path / "images"


@pytest.fixture
def looked_into(monkeypatch):
    """The names of the files that are looked into, as they are."""
    names = []

    def inspect(paths):
        names.extend(os.path.basename(path) for path in paths)
        return original(paths)

    original = index_module.inspect_files
    monkeypatch.setattr(index_module, "inspect_files", inspect)
    return names


def contents(index):
    """{path: (width, height)}"""
    shapes = zip(index.width.tolist(), index.height.tolist(), strict=True)
    return dict(zip(index.listing.paths(), shapes, strict=True))


def test_files_are_looked_into_once(images, cache, looked_into):
    first = contents(open_index(images))
    assert first["b/3.png"] == (19, 19) and len(first) == 6
    assert len(looked_into) == 6 and len(list(cache.iterdir())) == 1
    assert contents(open_index(images)) == first
    assert len(looked_into) == 6
    assert contents(open_index(images, rebuild=True)) == first
    assert len(looked_into) == 12


def add(images):
    write(images / "a" / "0a.png", (40, 30))


def add_folder(images):
    write(images / "a-b" / "deep" / "9.png", (40, 30))


def remove(images):
    (images / "a" / "1.png").unlink()


def rename(images):
    (images / "a" / "1.png").rename(images / "b" / "z.png")


def grow(images):
    write(images / "b" / "4.png", (99, 98))


def replace_by_one_of_equal_size(images):
    path = images / "b" / "4.png"
    former = path.stat()
    content = bytearray(path.read_bytes())
    content[16:20] = (55).to_bytes(4, "big")  # another width; PNG's checksum is not looked at
    path.write_bytes(content)
    os.utime(path, ns=(former.st_atime_ns, former.st_mtime_ns))  # as `cp -p` does


def swap_two(images):
    a, b = images / "a" / "0.png", images / "a" / "2.png"
    a.rename(images / "a" / "x")
    b.rename(a)
    (images / "a" / "x").rename(b)


@pytest.mark.parametrize(
    "change", [add, add_folder, remove, rename, grow, replace_by_one_of_equal_size, swap_two]
)
def test_it_is_right_after_a_change(images, cache, looked_into, change, monkeypatch):
    open_index(images)
    change(images)
    del looked_into[:]
    known = contents(open_index(images))
    assert len(looked_into) <= 2
    monkeypatch.setenv("VQV2_CACHE", "off")
    assert known == contents(open_index(images))
    monkeypatch.undo()


def test_a_change_is_kept_in_its_turn(images, cache, looked_into):
    open_index(images)
    add(images)
    open_index(images)
    remove(images)
    open_index(images)
    del looked_into[:]
    assert len(open_index(images)) == 6
    assert looked_into == []


def test_a_file_that_could_not_be_used_is_looked_into_again(images, cache, looked_into):
    (images / "a" / "bad.png").write_bytes(b"no image at all")
    first = open_index(images)
    place = list(first.listing.paths()).index("a/bad.png")
    assert first.width[place] == 0 and "not an image" in first.reasons[place]
    del looked_into[:]
    again = open_index(images)
    assert looked_into == ["bad.png"] and again.reasons == first.reasons
    before = next(cache.iterdir()).stat().st_mtime_ns
    open_index(images)
    assert next(cache.iterdir()).stat().st_mtime_ns == before  # nothing new to write


@pytest.mark.parametrize("end", [KeyboardInterrupt(), Stopped("terminated", 15)])
def test_the_first_time_goes_on_where_it_was_interrupted(
    images, cache, looked_into, monkeypatch, end
):
    monkeypatch.setattr(index_module, "AT_ONCE", 1)
    inspect = index_module.inspect_files

    def interrupted(paths):
        if paths[0].endswith("3.png"):
            raise end
        return inspect(paths)

    monkeypatch.setattr(index_module, "inspect_files", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_index(images)
    monkeypatch.setattr(index_module, "inspect_files", inspect)
    goes_on_after_three(images, looked_into)


def test_the_first_time_goes_on_after_what_was_kept_when_it_was_killed(
    images, cache, looked_into, monkeypatch
):
    monkeypatch.setattr(index_module, "AT_ONCE", 1)
    monkeypatch.setattr(index_module, "KEPT_EVERY", 0)
    keep = index_module._keep

    def keep_until_killed(index, root):
        keep(index, root)
        if index.width[2]:
            monkeypatch.setattr(index_module, "_keep", lambda index, root: None)
            raise KeyboardInterrupt

    monkeypatch.setattr(index_module, "_keep", keep_until_killed)
    with pytest.raises(KeyboardInterrupt):
        open_index(images)
    monkeypatch.setattr(index_module, "_keep", keep)
    goes_on_after_three(images, looked_into)


def goes_on_after_three(images, looked_into):
    del looked_into[:]
    index = open_index(images)
    assert sorted(looked_into) == ["3.png", "4.png", "5.png"]
    assert contents(index) == contents(open_index(images, rebuild=True))


@pytest.mark.parametrize("damage", [b"", b"something else", None])
def test_a_damaged_index_is_made_again(images, cache, looked_into, damage):
    first = contents(open_index(images))
    (path,) = cache.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content if damage is None else damage)
    assert contents(open_index(images)) == first
    assert contents(open_index(images)) == first


def test_small_folders_and_off_leave_nothing_behind(images, cache, monkeypatch):
    monkeypatch.setattr(index_module, "KEPT_FROM", 7)
    open_index(images)
    assert not cache.exists()
    monkeypatch.setattr(index_module, "KEPT_FROM", 1)
    monkeypatch.setenv("VQV2_CACHE", "off")
    assert index_file(images) is None
    open_index(images)
    assert not cache.exists()


def test_an_index_that_cannot_be_kept_is_a_warning_not_an_end(images, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VQV2_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(index_module, "KEPT_FROM", 1)
    with pytest.warns(RuntimeWarning, match="is not kept.*VQV2_CACHE"):
        assert len(open_index(images)) == 6


def test_the_default_place_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("VQV2_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert index_file("x").parent == tmp_path / "vqv2" / "indexes"
    assert index_file("x") != index_file("y")


def test_workers_find_what_threads_find(images, cache, monkeypatch):
    (images / "a" / "bad.png").write_bytes(b"no image at all")
    monkeypatch.setattr(index_module, "WORKERS_FROM", 1)
    monkeypatch.setattr(index_module, "AT_ONCE", 2)
    by_threads = open_index(images, rebuild=True)
    with Workers(2) as workers:
        by_workers = open_index(images, workers, rebuild=True)
    assert contents(by_threads) == contents(by_workers)
    assert by_threads.reasons == by_workers.reasons


def test_files_are_sorted_by_their_whole_paths(tmp_path):
    names = [
        "a.png",
        "a/b.png",
        "a-b/c.png",
        "a/b/c.png",
        "a/b-c.png",
        "b/é.png",
        "b/z.png",
        "c.png",
    ]
    names += ["a/c/1.png", "a/a/1.png", "a0/1.png", "Z/y.JPG"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    listing = list_images(tmp_path)
    assert list(listing.paths()) == sorted(names, key=os.fsencode)
    assert listing.sizes.tolist() == [1] * len(names)
    empty = tmp_path / "nothing"
    empty.mkdir()
    assert list(list_images(empty).paths()) == []


def test_it_costs_a_name_and_34_bytes_a_file(images):
    index = open_index(images)
    arrays = [value for value in vars(index.listing).values() if isinstance(value, np.ndarray)]
    arrays += [index.width, index.height, index.bits, index.reducible]
    assert sum(array.nbytes for array in arrays) == 6 * (34 + len("0.png"))


def test_a_source_made_from_the_cache_is_the_same(images, cache):
    first, second = FolderImages(images, 17), FolderImages(images, 17)
    assert len(first) == 5 and first.skipped == second.skipped
    assert [path[-5:] for path, _ in first.skipped] == ["0.png"]
    np.testing.assert_array_equal(first.batch(range(5)), second.batch(range(5)))
    assert first.labels.tolist() == second.labels.tolist() == [0, 0, 1, 1, 1]
    with pytest.raises(InputError, match="workers"):
        FolderImages(images, 16, workers=-1)
