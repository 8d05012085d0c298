"""`vqv2 data`: see to images before training: what there is, how it looks, how fast it is read."""

import shutil
import time

import numpy as np

from vqv2.cli.arguments import DATA_HELP, add_command, add_workers, check_count, check_seed
from vqv2.cli.overview import (
    list_skipped,
    print_overview,
    print_remarks,
    print_skipped,
    print_split,
)
from vqv2.config import replace
from vqv2.data.augment import PRESETS as AUGMENTATIONS
from vqv2.data.images import has_own_size, open_images, open_splits, open_tree
from vqv2.data.index import KEPT_FROM, index_file
from vqv2.data.layout import WHOLE
from vqv2.data.pack import Pack, is_pack
from vqv2.data.pack_writing import Packing
from vqv2.data.split import spread_indices
from vqv2.errors import InputError
from vqv2.files import check_writable
from vqv2.lab.bench.loading import loading, waiting
from vqv2.models.autoencoder import Autoencoder
from vqv2.pictures import save_augmentations
from vqv2.presets import PRESETS, preset
from vqv2.run import Run
from vqv2.run.codes import open_codes
from vqv2.run.lock import locked
from vqv2.training import AutoencoderTask

USUAL_SIZE = 128  # pixels, of what has no size of its own
EXAMPLES = (
    "vqv2 data index photos/",
    "vqv2 data preview photos/ --size 256 --augmentation ffhq --out preview.png",
    "vqv2 data pack photos/ --size 256 --out packs/photos256",
    "vqv2 data speed photos/ packs/photos256 --preset imagenet256 --workers 0,4,8",
    "vqv2 data speed emoji:64 --preset demo --train",
    "vqv2 data verify runs/photos",
    "vqv2 data verify packs/photos256",
)


def add_parser(subparsers):
    """Add `data` with what it can do."""
    summary = (
        "index or pack a folder of images, preview augmentation, measure reading, verify codes"
    )
    parser = add_command(subparsers, "data", summary, EXAMPLES, None)
    kinds = parser.add_subparsers(title="what to do", metavar="ACTION", required=True)
    _add_index(kinds)
    _add_preview(kinds)
    _add_pack(kinds)
    _add_speed(kinds)
    _add_verify(kinds)


def _add(kinds, name, summary, run):
    return add_command(kinds, name, summary, [e for e in EXAMPLES if f"data {name}" in e], run)


def _add_index(kinds):
    parser = _add(kinds, "index", "look into all images of a folder, and say what there is", _index)
    parser.add_argument("folder", metavar="FOLDER", help="as in --data: 12-bit:FOLDER, too")
    parser.add_argument("--rebuild", action="store_true", help="take nothing from the kept index")
    add_workers(parser)


def _add_preview(kinds):
    parser = _add(kinds, "preview", "draw what each part of an augmentation does", _preview)
    parser.add_argument("data", metavar="DATA", help=DATA_HELP)
    parser.add_argument(
        "--augmentation", default="ffhq", choices=sorted(AUGMENTATIONS), help="default: ffhq"
    )
    parser.add_argument(
        "--size", type=int, metavar="PIXELS", help=f"default: the data's own, or {USUAL_SIZE}"
    )
    parser.add_argument("--count", type=int, default=6, metavar="N", help="images (6)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: 0")
    parser.add_argument("--out", required=True, metavar="PNG", help="the picture to write")


def _add_pack(kinds):
    summary = "decode and resize the images of a folder once, to be read much faster"
    parser = _add(kinds, "pack", summary, _pack)
    parser.add_argument(
        "data", metavar="FOLDER", help="of images, as in --data: 12-bit:FOLDER, too"
    )
    parser.add_argument(
        "--size", type=int, required=True, metavar="PIXELS", help="of the images for training"
    )
    parser.add_argument(
        "--augmentation",
        default="imagenet",
        choices=sorted(AUGMENTATIONS),
        help="of the training: one without random crops takes less space (default: imagenet)",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="the pack, to be --data")
    add_workers(parser)


def _add_speed(kinds):
    parser = _add(
        kinds, "speed", "images per second that are read, with nothing else to do", _speed
    )
    parser.add_argument("data", nargs="+", metavar="DATA", help=DATA_HELP)
    parser.add_argument(
        "--preset", default="demo", help=f"one of {', '.join(PRESETS)} (default: demo)"
    )
    parser.add_argument("--batch", type=int, metavar="N", help="images (default: the preset's)")
    parser.add_argument("--batches", type=int, default=20, metavar="N", help="to measure (20)")
    parser.add_argument(
        "--train",
        action="store_true",
        help="take training steps, too, and say how long they wait for their images",
    )
    parser.add_argument(
        "--workers",
        metavar="N,N,...",
        help="numbers of processes that read the images, to be compared; 0 for none",
    )


def _add_verify(kinds):
    summary = "compare all codes of a run, or all images of a pack, with their checksums"
    parser = _add(kinds, "verify", summary, _verify)
    parser.add_argument("folder", metavar="DIR", help="a run folder with codes, or a pack")


def _index(arguments):
    begun = time.monotonic()
    tree = open_tree(arguments.folder, arguments.workers, arguments.rebuild)
    index, good = tree.index, tree.index.width > 0
    print(f"{tree.folder}: {good.sum()} images of {len(index)} files in "
          f"{len(index.listing.folders)} folders")  # fmt: skip
    if good.any():
        sides = np.minimum(index.width, index.height)[good]
        least, median, most = np.percentile(sides, (0, 50, 100))
        print(f"shorter side: {least:.0f} to {most:.0f} pixels, half of them {median:.0f} or more")
    _print_splits(tree, good)
    print_remarks(tree.remarks + tree.remarks_on_large())
    list_skipped(tree.problems())
    print(_where(tree.folder, index))
    tree.check_range()
    print(f"{time.monotonic() - begun:.1f} s")


def _print_splits(tree, good):
    layout, folder_of = tree.layout, tree.index.listing.folder_of
    for split, top in layout.splits.items():
        places = np.flatnonzero(good & tree.files_of(split))
        labels = layout.class_of[folder_of[places]] if layout.class_names else None
        name = "all, of which about 5 % are held out" if split == WHOLE else split
        name += f" (in {top})" if top else ""
        print_split(name, len(places), labels, layout.class_names)


def _where(root, index):
    path = index_file(root)
    if path is None:
        return "the index is not kept: VQV2_CACHE is off"
    if len(index) < KEPT_FROM:
        return f"the index is not kept: there are fewer than {KEPT_FROM} files"
    if not path.is_file():
        return "the index is not kept"
    return f"the index is kept in {path} ({path.stat().st_size / 1e6:.1f} MB)"


def _preview(arguments):
    check_seed(arguments.seed)
    check_count("--count", arguments.count)
    check_writable(arguments.out, (".png",))
    size = arguments.size
    if size is None and not has_own_size(arguments.data):
        size = USUAL_SIZE
    source = open_images(arguments.data, size, split="all")
    print_skipped({"all": source})
    chosen = spread_indices(len(source), arguments.count)
    augmentation = AUGMENTATIONS[arguments.augmentation]
    save_augmentations(arguments.out, source, chosen, augmentation, arguments.seed)
    print(f"saved in {arguments.out}")


def _pack(arguments):
    begun = time.monotonic()
    tree = open_tree(arguments.data, arguments.workers)
    augmentation = AUGMENTATIONS[arguments.augmentation]
    packing = Packing(tree, arguments.out, arguments.size, augmentation.random_crop)
    print_overview({split: packing.sources[split] for split in ("train", "held_out")})
    print_skipped({"all": packing.sources["all"]})
    with locked(arguments.out):
        _print_need(packing)
        packing.write()
    list_skipped(packing.damaged())
    pack = Pack(arguments.out)
    print(f"{pack.folder}: {len(pack)} images, {pack.bytes / 1e9:.3f} GB, to be given as --data "
          f"({time.monotonic() - begun:.1f} s)")  # fmt: skip


def _print_need(packing):
    need, free = packing.expected_bytes() / 1e9, shutil.disk_usage(packing.folder).free / 1e9
    there = len(packing.sources["all"]) - len(packing.rows)
    if there:
        print(f"{there} images are there already")
    if need > free:
        print(f"note: about {need:.3f} GB are to be written, but only {free:.3f} GB are free: when "
              "the disk is full, make room, and the same command goes on")  # fmt: skip


def _speed(arguments):
    config = preset(arguments.preset).autoencoder
    if arguments.batch is not None:
        config = replace(config, {"batch": arguments.batch})
    check_count("--batches", arguments.batches)
    for data in arguments.data:
        for number, workers in enumerate(_numbers(arguments.workers)):
            sources = open_splits(data, config.image_size, config.channels, workers)
            if not number:
                print_overview(sources)
                print_skipped(sources)
            _print_speed(sources["train"], config, arguments.batches, arguments.train)


def _numbers(text):
    """[number of workers] of "0,4,8"; [None] of None."""
    try:
        return [None] if text is None else [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--workers {text} cannot be read: give numbers, as in 0,4,8") from None


def _print_speed(source, config, batches, trains):
    augmentation = AUGMENTATIONS[config.augmentation]
    print(f"{source.name}: images of {source.size} x {source.size} pixels, augmentation "
          f"{config.augmentation}, read by {source.readers(augmentation)}:")  # fmt: skip
    result = loading(source, config.batch, augmentation, batches)
    least, median, most = np.percentile(result.seconds, (0, 50, 100))
    print(f"  {result.images_per_second:.0f} images/s; a batch of {result.images}: "
          f"{median:.4f} s ({least:.4f} to {most:.4f})")  # fmt: skip
    if trains:
        model = Autoencoder(config, np.random.default_rng(0))
        found = waiting(AutoencoderTask(model, source, source, 0), batches)
        print(f"  a training step: {np.median(found.step_seconds):.4f} s, of which "
              f"{np.median(found.waited_seconds):.4f} s waiting for images; over all steps "
              f"{100 * found.share:.1f} %")  # fmt: skip


def _verify(arguments):
    begun = time.monotonic()
    if is_pack(arguments.folder):
        store, what = Pack(arguments.folder), "images"
    else:
        store, what = open_codes(Run.open(arguments.folder).codes_folder), "codes"
    store.verify()
    print(f"{store.folder}: {store.bytes / 1e6:.1f} MB of {what} are as they were written "
          f"({time.monotonic() - begun:.1f} s)")  # fmt: skip
