"""Packs: the same batches as from the folder, whatever happened while they were written."""

import contextlib
import json
import os
import resource
import shutil
import signal
import sys

import numpy as np
import pytest
from PIL import Image

from tests import mutants
from tests.processes import finish, started
from vqv2.cli.main import main
from vqv2.data import pack_writing
from vqv2.data.augment import FFHQ, IMAGENET
from vqv2.data.images import has_own_size, open_images, open_splits, open_tree
from vqv2.data.pack import MANIFEST, Pack
from vqv2.data.pack_writing import Packing
from vqv2.data.packed import PackedImages
from vqv2.data.shard import shard_files, write_shard
from vqv2.errors import InputError
from vqv2.files.opening import seal

SIZE = 28
SPLITS = ("train", "held_out", "all")


def write_photos(folder, count=24):
    """Pictures of many shapes and modes in two classes, one damaged inside and one too small."""
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / ("cat" if number % 2 else "dog") / f"{number:02}"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (30 + 3 * number, max(SIZE, 50 - number), 3) if number % 3 else (40, 40, 3)
        picture = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
        picture = picture.convert("L") if number % 5 == 0 else picture
        exif = Image.Exif()
        exif[0x0112] = 6 if number % 4 == 0 else 1  # turned by a quarter
        picture.save(path.with_suffix((".jpg", ".png", ".webp")[number % 3]), exif=exif)
    broken = folder / "cat" / "07.png"
    content = bytearray(broken.read_bytes())
    place = content.index(b"IDAT") + 6
    content[place : place + 8] = b"\xff" * 8
    broken.write_bytes(content)
    Image.new("RGB", (9, 9)).save(folder / "dog" / "small.png")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Of some pictures each."""
    monkeypatch.setattr(pack_writing, "SHARD", 15_000)


def packed(data, folder, size=SIZE, random_crop=True):
    Packing(open_tree(str(data)), folder, size, random_crop).write(progress=False)
    return folder


@pytest.fixture(scope="module")
def pristine(photos, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack_writing, "SHARD", 15_000)
        return packed(photos, tmp_path_factory.mktemp("pristine") / "pack")


@pytest.fixture
def copy(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "pack")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".lock"}


def batches(source):
    """Of all images, with every augmentation, in an order that meets the damaged one twice."""
    for augmentation in (None, IMAGENET, FFHQ):
        for _ in range(2):
            yield source.batch(range(len(source)), augmentation, np.random.default_rng(4))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("split", SPLITS)
def test_a_pack_is_the_folder_to_the_last_bit(photos, pristine, split, channels):
    folder = open_images(photos, SIZE, channels, split)
    pack = open_images(pristine, SIZE, channels, split)
    assert isinstance(pack, PackedImages) and len(Pack(pristine).manifest["shards"]) > 2
    assert (len(pack), pack.class_names) == (len(folder), folder.class_names)
    assert pack.identity == folder.identity and np.array_equal(pack.labels, folder.labels)
    for ours, theirs in zip(batches(pack), batches(folder), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for place in range(len(folder)):
        assert pack.image_name(place) == folder.image_name(place)
    damaged = [place for place in range(len(folder)) if "07.png" in folder.image_name(place)]
    for source, place in ((s, p) for s in (folder, pack) for p in damaged):
        with pytest.raises(InputError, match=r"photos/cat/07.png .*broken|photos/cat/07.png"):
            source.read(place)
    assert set(pack.skipped) <= set(folder.skipped)
    assert "1 files could not be used and were not packed" in " ".join(pack.remarks)
    assert "too small: 9 x 9" in (pristine / "left_out.jsonl").read_text()


@pytest.mark.parametrize("augmentation", [IMAGENET, FFHQ])
def test_worker_processes_make_the_same_batches(pristine, augmentation):
    sources = [open_splits(pristine, SIZE, workers=n)["train"] for n in (0, 2)]
    first, second = (
        source.batch([3, 1, 7, 0, 7], augmentation, np.random.default_rng(1)) for source in sources
    )
    np.testing.assert_array_equal(first, second)
    assert sources[1].readers(IMAGENET) == "2 worker processes"


def test_splits_of_the_users_own_and_bits_are_those_of_the_folder(photos, tmp_path):
    for name in ("train", "val", "test"):
        shutil.copytree(photos, tmp_path / "split" / name)
    packed(tmp_path / "split", tmp_path / "pack")
    ramp = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    (tmp_path / "scans").mkdir()
    for number in range(4):
        Image.fromarray(ramp // (number + 1)).save(tmp_path / "scans" / f"{number}.png")
    deep = f"12-bit:{tmp_path}/scans"
    packed(deep, tmp_path / "deep", 64)
    for data, pack, size in ((tmp_path / "split", "pack", SIZE), (deep, "deep", 64)):
        folder, ours = open_splits(data, size), open_splits(tmp_path / pack, size)
        for split in ("train", "held_out"):
            assert ours[split].identity == folder[split].identity
            np.testing.assert_array_equal(ours[split].read(0), folder[split].read(0))
    assert has_own_size(tmp_path / "deep") and open_images(tmp_path / "deep", None).size == 64


def test_without_room_for_random_crops_a_pack_is_smaller_and_says_so(photos, pristine, tmp_path):
    small = packed(photos, tmp_path / "pack", random_crop=False)
    assert Pack(small).bytes < 0.7 * Pack(pristine).bytes
    pack, folder = open_images(small, SIZE), open_images(photos, SIZE)
    ours, theirs = (s.batch([1, 2], FFHQ, np.random.default_rng(0)) for s in (pack, folder))
    np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(InputError, match="at random, pack .*photos with --augmentation imagenet"):
        pack.batch([1, 2], IMAGENET, np.random.default_rng(0))


def test_what_a_pack_cannot_do_is_refused_before_anything_is_made(photos, tmp_path, capsys):
    small = packed(photos, tmp_path / "pack", random_crop=False)
    run = tmp_path / "run"
    sizes = f"--set image_size={SIZE} --set latent_sizes=7 --set augmentation=imagenet"
    assert main(f"train autoencoder --data {small} --out {run} {sizes} --steps 1".split()) == 2
    assert "images as they are cropped at the centre" in capsys.readouterr().err
    assert not run.exists()
    for data in ("emoji:64", "fashion-mnist", "images.npy"):
        assert main(f"data pack {data} --size 64 --out {run}".split()) == 2
        assert f"{data} needs neither index nor pack" in capsys.readouterr().err
    assert not run.exists()


KILLED = """
import os, signal, sys
from vqv2.data import pack_writing
from vqv2.data.images import open_tree
replace, moments = os.replace, iter(range(100))
def killed(source, target):
    if next(moments) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace, pack_writing.SHARD = killed, 15_000
pack_writing.Packing(open_tree(sys.argv[1]), sys.argv[2], 28).write(False)
"""


@pytest.mark.parametrize(
    ("moment", "shards"),
    [(2, 0), (13, 2), (14, 2)],
    ids=["among the small files", "before the third shard's pixels", "before its table"],
)
def test_a_kill_costs_one_shard_at_most(photos, pristine, tmp_path, moment, shards):
    """The program kills itself as a file is about to take its place, so no moment is missed."""
    folder = tmp_path / "pack"
    with started([sys.executable, "-c", KILLED, photos, folder, moment]) as process:
        status, _, errors = finish(process)
    assert status == -signal.SIGKILL, errors
    with pytest.raises(InputError, match=r"pack is not complete, it has \d+ of 24 .* goes on"):
        open_images(folder, SIZE)
    kept = [shard_files(folder, number)[0] for number in range(shards)]
    before = [path.stat().st_mtime_ns for path in kept]
    packed(photos, folder)
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert contents(folder) == contents(pristine)


def test_a_full_disk_is_a_sentence_and_nothing_is_lost(photos, pristine, tmp_path, monkeypatch):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(pack_writing, "write_shard", _with_little_room(2, limits))
    with pytest.raises(InputError, match=r"cannot write .*shard-00002.npy: File too large"):
        packed(photos, tmp_path / "pack")
    monkeypatch.setattr(pack_writing, "write_shard", write_shard)
    packed(photos, tmp_path / "pack")
    assert contents(tmp_path / "pack") == contents(pristine)


def _with_little_room(from_shard, limits):
    def write(folder, number, pictures, is_full):
        if number >= from_shard:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            return write_shard(folder, number, pictures, is_full)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return write


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def shortened(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("shard-00001.npy", os.remove, "shard-00001.npy cannot be read: No such file.* again"),
        ("shard-00001.npy", shortened, r"shard-00001.npy has \d+ bytes instead of \d+: remove it"),
        ("shard-00001.npy", flipped, r"shard-00001.npy is damaged in picture \d+: remove it"),
        ("table-00001.npy", flipped, "table-00001.npy is damaged: remove it, and give the command"),
        ("table-00001.npy", os.remove, "table-00001.npy cannot be read"),
        ("labels.npy", flipped, "labels.npy is damaged: remove it, and give"),
        ("names.npy", os.remove, "names.npy cannot be read"),
    ],
)
def test_what_is_damaged_is_named_and_mended_by_packing_again(
    photos, pristine, copy, name, change, message
):
    change(copy / name)
    with pytest.raises(InputError, match=message):
        Pack(copy).verify()
    (copy / name).unlink(missing_ok=True)
    packed(photos, copy)
    assert contents(copy) == contents(pristine)


def test_any_damage_is_a_sentence_or_does_no_harm(pristine, tmp_path):
    files = sorted(pristine.iterdir())
    others = [path.read_bytes() for path in files]
    expected = list(batches(PackedImages(pristine)))
    for number in range(40):
        rng = np.random.default_rng((3, number))
        folder = shutil.copytree(pristine, tmp_path / str(number))
        path = folder / files[rng.integers(len(files))].name
        content, what = mutants.damaged(path.read_bytes(), rng, others)
        path.write_bytes(content)
        for ours, theirs in zip(batches_or_none(folder, what), expected, strict=False):
            np.testing.assert_array_equal(ours, theirs, f"{path.name}: {what}")


def test_a_forged_manifest_is_a_sentence_or_is_read(pristine, copy):
    """Under a seal that is right."""
    for number in range(60):
        content = json.loads((pristine / MANIFEST).read_text())
        content, what = mutants.with_another_value(content, np.random.default_rng((4, number)))
        with contextlib.suppress(ValueError):  # a number that Python does not print
            text = json.dumps({**content, "checksum": seal(content)})
            (copy / MANIFEST).write_text(text)
        for batch in batches_or_none(copy, what):
            assert batch.shape[1:3] == (SIZE, SIZE), what


def batches_or_none(folder, what):
    """`batches` of a pack that something was done to; none where that is an `InputError`."""
    try:
        yield from batches(PackedImages(folder))
    except InputError:
        return
    except BaseException as error:
        error.add_note(what)
        raise


def other_size(photos, folder):
    packed(photos, folder, 16)


def other_crops(photos, folder):
    packed(photos, folder, random_crop=False)


def another_file(photos, folder):
    Image.new("RGB", (40, 40)).save(photos / "dog" / "new.png")
    packed(photos, folder)


def a_class_more(photos, folder):
    (photos / "dog" / "00.jpg").rename(photos / "cat" / "00.jpg")
    packed(photos, folder)


def used_at_another_size(photos, folder):
    open_splits(folder, 64)


def a_pack_of_the_pack(photos, folder):
    packed(folder, folder.parent / "other")


def something_else_there(photos, folder):
    packed(photos, photos)


def a_file_there(photos, folder):
    packed(photos, photos / "dog" / "00.jpg")


def bits_of_a_pack(photos, folder):
    open_images(f"12-bit:{folder}", SIZE)


def changed_while_it_is_packed(photos, folder):
    packing = Packing(open_tree(str(photos)), folder.parent / "other", SIZE)
    os.truncate(photos / "dog" / "10.png", 100)
    packing.write(progress=False)


def gone_while_it_is_packed(photos, folder):
    packing = Packing(open_tree(str(photos)), folder.parent / "other", SIZE)
    shutil.rmtree(photos)
    packing.write(progress=False)


def nothing_but_damage(photos, folder):
    for path in photos.glob("*/*"):
        if path.name != "07.png":
            path.unlink()
    shutil.copy(photos / "cat" / "07.png", photos / "dog" / "07.png")
    packed(photos, folder.parent / "other")


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (other_size, "is a pack of 28 x 28 pixels, not of 16 x 16 pixels: choose another folder"),
        (other_crops, "is a pack for random crops, not of images that are cropped at the centre"),
        (another_file, "is a pack of other images, of .*photos as it was then: choose another"),
        (a_class_more, "is a pack of other images"),
        (used_at_another_size, "has images of 28 x 28 pixels, not of 64: pack .*photos for that"),
        (a_pack_of_the_pack, "is a pack already: give the folder"),
        (something_else_there, "photos holds something else .cat., and no pack: choose another"),
        (a_file_there, "00.jpg is no folder"),
        (bits_of_a_pack, "12-bit:.*pack makes no sense: a pack has images of 8 bits"),
        (changed_while_it_is_packed, "dog/10.png has changed, or is gone, since its folder"),
        (gone_while_it_is_packed, "has changed, or is gone, since its folder was listed"),
        (nothing_but_damage, "none of the 2 images could be decoded: .*07.png"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_changes_nothing(
    photos, copy, tmp_path, attempt, message
):
    before = contents(copy)
    with pytest.raises(InputError, match=message):
        attempt(shutil.copytree(photos, tmp_path / "photos"), copy)
    assert contents(copy) == before


def test_the_command_packs_measures_and_verifies(photos, tmp_path, capsys):
    def vqv2(*arguments):
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out + said.err.splitlines()[-1] if status else said.out

    out = tmp_path / "packs" / "photos"
    status, said = vqv2("data", "pack", photos, "--size", SIZE, "--out", out)
    assert status == 0 and "24 images, 0.000 GB, to be given as --data" in said
    assert "small.png: it is too small" in said and "07.png: it cannot be decoded" in said
    status, said = vqv2("data", "pack", photos, "--size", SIZE, "--out", out)
    assert status == 0 and "24 images are there already" in said
    status, said = vqv2("data", "verify", out)
    assert status == 0 and "of images are as they were written" in said
    flipped(out / "shard-00000.npy")
    status, said = vqv2("data", "verify", out)
    assert status == 2 and "shard-00000.npy is damaged in picture" in said
