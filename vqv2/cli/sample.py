"""`vqv2 sample`: new images from a trained hierarchy."""

import itertools
import math
import os
from pathlib import Path

from vqv2.cli.arguments import (
    CLASS_HELP,
    MOST_AT_ONCE,
    MOST_SAMPLES,
    add_command,
    add_run,
    by_level,
    check_count,
    check_seed,
)
from vqv2.cli.drawn import DrawnSamples, kept_until_done
from vqv2.config import check_levels
from vqv2.data.save import image_file, rounded
from vqv2.errors import InputError
from vqv2.files import check_writable
from vqv2.hierarchy import Hierarchy
from vqv2.pictures import check_shown, save_image_grid, shown_scale
from vqv2.terminal import progress_bar

OUT = "samples.png"


def add_parser(subparsers):
    """Add `sample`."""
    parser = add_command(
        subparsers,
        "sample",
        "draw new images: top codes, finer codes given them, decode",
        (
            "vqv2 sample emoji",
            "vqv2 sample runs/emoji --count 16 --out samples.png",
            "vqv2 sample runs/emoji --count 16 --class faces --temperature 0.9 --out faces.png",
            "vqv2 sample runs/emoji --count 16 --temperature top=1,bottom=0.8 --top-p 0.95 \\",
            "     --seed 7 --out samples.png",
            "vqv2 sample runs/emoji --count 5000 --batch 500 --out samples.npz",
            "vqv2 sample runs/emoji --count 16 --level top --out top.png",
        ),
        _sample,
    )
    parser.set_defaults(shared=True)
    add_run(parser, "a run folder with trained priors")
    parser.add_argument(
        "--count", type=int, default=16, metavar="N", help="number of images (default: 16)"
    )
    parser.add_argument("--class", dest="label", metavar="C", help=f"{CLASS_HELP}; default: mixed")
    parser.add_argument(
        "--temperature", default="1", metavar="T", help="a number or per level: top=1,bottom=0.9"
    )
    parser.add_argument("--top-k", default="0", metavar="K", help="keep the K likeliest codes")
    parser.add_argument("--top-p", default="1", metavar="P", help="keep codes of probability P")
    parser.add_argument(
        "--level",
        metavar="NAME",
        help="draw the levels from the coarsest down to this one, and decode from them alone: for "
        "a run whose finer priors are not trained yet (default: all)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: 0")
    parser.add_argument("--batch", type=int, default=32, metavar="N", help="images side by side")
    parser.add_argument(
        "--storage",
        default="float32",
        help="of the priors' weights: float32, or bfloat16 for half the time at small batches on a "
        "processor (default: float32)",
    )
    parser.add_argument(
        "--best",
        action="store_true",
        help="priors as they were when their held-out loss was lowest, not as training left them",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="the picture to write, .png; or .npz for images and labels that --data can read, as "
        "many of every class. What is drawn is kept in FILE.codes until it is written: after an "
        f"interruption the same command goes on (default: {OUT}, where there is none yet)",
    )


def _sample(arguments):
    check_seed(arguments.seed)
    check_count("--count", arguments.count, MOST_SAMPLES)
    check_count("--batch", arguments.batch, MOST_AT_ONCE)
    arguments.out = _default_out() if arguments.out is None else arguments.out
    check_writable(arguments.out, (".png", ".npz"))
    hierarchy = Hierarchy.load(arguments.run_folder, best=arguments.best)
    if not _is_data(arguments.out):
        check_shown(arguments.count, hierarchy.config.autoencoder.image_size)
    samples = _samples(arguments, hierarchy)
    mine = arguments.communicator.rank == 0
    with kept_until_done([samples] if mine else []):
        samples.draw()
        if mine:
            _save(arguments.out, samples)
            print(f"{samples.count} samples in {arguments.out}")


def _default_out():
    """`OUT`, which replaces nothing: nobody has asked for that name."""
    if os.path.lexists(OUT):
        raise InputError(f"{OUT} exists: say with --out where the new picture goes")
    return OUT


def _samples(arguments, hierarchy):
    """The `DrawnSamples` that are asked for."""
    label = arguments.label
    if label is None and arguments.communicator.rank == 0:
        _say_what_is_left_out(hierarchy)
    if _is_data(arguments.out) and label is None and hierarchy.class_names:
        names = [hierarchy.class_names[number] for number in hierarchy.learned]
        label = list(itertools.islice(itertools.cycle(names), arguments.count))
    return DrawnSamples(
        f"{arguments.out}.codes",
        hierarchy,
        arguments.count,
        label,
        arguments.seed,
        arguments.batch,
        arguments.communicator,
        levels=_levels(hierarchy, arguments.level),
        temperature=by_level(arguments.temperature, float, "temperature"),
        top_k=by_level(arguments.top_k, int, "top-k"),
        top_p=by_level(arguments.top_p, float, "top-p"),
        storage=arguments.storage,
    )


def _levels(hierarchy, finest):
    """The levels from the coarsest down to `finest`; None for all."""
    if finest is None:
        return None
    check_levels([finest], hierarchy.levels)
    return hierarchy.levels[: hierarchy.levels.index(finest) + 1]


def _say_what_is_left_out(hierarchy):
    names = set(range(len(hierarchy.class_names))) - set(hierarchy.learned.tolist())
    if names:
        words = ", ".join(hierarchy.class_names[number] for number in sorted(names))
        print(f"not drawn, as training had no image of them: {words} (--class draws them)")


def _is_data(path):
    return Path(path).suffix.lower() == ".npz"


def _save(path, samples):
    """Write images that `--data` can read, or a picture."""
    if _is_data(path):
        _save_data(path, samples)
        return
    columns = math.ceil(math.sqrt(samples.count))
    starts = range(0, samples.count, columns)
    rows = (samples.images(slice(start, start + columns)) for start in starts)
    save_image_grid(path, rows, scale=shown_scale(samples.shape[1]))


def _save_data(path, samples):
    """Images as uint8, and their class numbers if there are classes."""
    with (
        image_file(path, samples.shape, samples.labels) as add,
        progress_bar(samples.count, "decode", "image", delay=1) as bar,
    ):
        for images in samples.image_batches():
            add(rounded(images))
            bar.update(len(images))
