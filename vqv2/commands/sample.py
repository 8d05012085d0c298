"""`vqv2 sample`: new images from a trained hierarchy."""

import math
from pathlib import Path

import numpy as np

from vqv2.commands.arguments import add_command, by_level, check_seed
from vqv2.files import atomic_write, check_writable
from vqv2.hierarchy import Hierarchy
from vqv2.pictures import shown_scale
from vqv2.report import save_image_grid


def add_parser(subparsers):
    """Add `sample`."""
    parser = add_command(
        subparsers,
        "sample",
        "draw new images: top codes, finer codes given them, decode",
        (
            "vqv2 sample runs/emoji --count 16 --out samples.png",
            "vqv2 sample runs/emoji --count 16 --class faces --temperature 0.9 --out faces.png",
            "vqv2 sample runs/emoji --count 16 --temperature top=1,bottom=0.8 --top-p 0.95 \\",
            "     --seed 7 --out samples.png",
            "vqv2 sample runs/emoji --count 5000 --batch 500 --out samples.npz",
        ),
        _sample,
    )
    parser.set_defaults(shared=True)
    parser.add_argument("run_folder", metavar="RUN", help="a run folder with trained priors")
    parser.add_argument("--count", type=int, required=True, metavar="N", help="number of images")
    parser.add_argument("--class", dest="label", metavar="C", help="name or number; default: mixed")
    parser.add_argument(
        "--temperature", default="1", metavar="T", help="a number or per level: top=1,bottom=0.9"
    )
    parser.add_argument("--top-k", default="0", metavar="K", help="keep the K likeliest codes")
    parser.add_argument("--top-p", default="1", metavar="P", help="keep codes of probability P")
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
        "--window",
        type=int,
        default=1,
        metavar="N",
        help="positions that a pass over the weights looks at: the same codes in fewer passes, "
        "for --batch 1 (default: 1)",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="the picture to write, .png; or .npz for images and labels that --data can read, as "
        "many of every class",
    )


def _sample(arguments):
    check_seed(arguments.seed)
    check_writable(arguments.out, (".png", ".npz"))
    hierarchy = Hierarchy.load(arguments.run_folder, best=arguments.best)
    as_data = Path(arguments.out).suffix.lower() == ".npz"
    label = arguments.label
    if label is None and arguments.communicator.rank == 0:
        _say_what_is_left_out(hierarchy)
    if as_data and label is None and hierarchy.class_names:
        label = np.resize(hierarchy.learned, arguments.count).tolist()
    codes = hierarchy.sample_codes(
        arguments.count,
        label,
        arguments.seed,
        arguments.batch,
        temperature=by_level(arguments.temperature, float, "temperature"),
        top_k=by_level(arguments.top_k, int, "top-k"),
        top_p=by_level(arguments.top_p, float, "top-p"),
        progress=True,
        storage=arguments.storage,
        window=arguments.window,
        communicator=arguments.communicator,
    )
    if arguments.communicator.rank == 0:
        images = hierarchy.decode(codes)
        if as_data:
            labels = hierarchy.labels(label, len(images), None)
            _save_data(arguments.out, images, labels)
        else:
            _save_picture(arguments.out, images)
        print(f"{len(images)} samples in {arguments.out}")


def _say_what_is_left_out(hierarchy):
    names = set(range(len(hierarchy.class_names))) - set(hierarchy.learned.tolist())
    if names:
        words = ", ".join(hierarchy.class_names[number] for number in sorted(names))
        print(f"not drawn, as training had no image of them: {words} (--class draws them)")


def _save_picture(path, images):
    columns = math.ceil(math.sqrt(len(images)))
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    save_image_grid(path, rows, scale=shown_scale(images))


def _save_data(path, images, labels):
    """Images as uint8, and their class numbers if there are classes."""
    fields = {} if labels is None else {"labels": labels}
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, images=np.rint(images * 255).astype(np.uint8), **fields)
