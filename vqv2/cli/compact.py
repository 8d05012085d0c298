"""`vqv2 compact`: a small run that can be used, from a large one that can be trained further."""

from vqv2.cli.arguments import DATA_HELP, add_command, add_run
from vqv2.cli.overview import print_skipped
from vqv2.data.images import absolute_data, open_images
from vqv2.errors import InputError
from vqv2.hierarchy import Hierarchy
from vqv2.lab.evaluation.rounding import TOLERATED, measure_rounding
from vqv2.run import Run
from vqv2.run.compact import compact
from vqv2.run.rules import check_data_classes
from vqv2.terminal import format_table, progress_bar

IMAGES = 512  # held-out images that figures are compared on


def add_parser(subparsers):
    """Add `compact`."""
    parser = add_command(
        subparsers,
        "compact",
        "write a small copy of a trained run: weights in bfloat16, and nothing that only training "
        "needs. It can be sampled, judged, played with and fine-tuned from, but not resumed",
        (
            "vqv2 compact runs/emoji --out emoji",
            "vqv2 compact runs/emoji --best --data emoji:64 --out emoji",
        ),
        _compact,
    )
    add_run(parser, "a run folder with an autoencoder")
    parser.add_argument(
        "--best",
        action="store_true",
        help="priors as they were when their held-out loss was lowest, not as training left them",
    )
    parser.add_argument(
        "--data",
        help=f"{DATA_HELP}: what figures are compared on, and what the copy says it has learned "
        "from (default: what the run says)",
    )
    parser.add_argument(
        "--unmeasured",
        action="store_true",
        help="do not compare figures of both: for where the images are not at hand",
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the folder to fill")


def _compact(arguments):
    run = Run.open(arguments.run_folder)
    data = absolute_data(arguments.data) if arguments.data else run.data
    held_out = None if arguments.unmeasured else _held_out(data, run)
    new = compact(run, arguments.out, data, arguments.best)
    sizes = [path.stat().st_size for path in new.folder.rglob("*.safetensors")]
    print(f"{sum(sizes) / 1e6:.1f} MB in {new.folder}")
    if held_out is not None:
        before = Hierarchy.load(run.folder, best=arguments.best)
        _compare(before, Hierarchy.load(new.folder), held_out)


def _held_out(data, run):
    config = run.config.autoencoder
    images = open_images(data, config.image_size, config.channels, "held_out")
    print_skipped({"held_out": images})
    check_data_classes(run, {"held_out": images})
    return images


def _compare(before, after, images):
    """Print the figures of both; raise `InputError` where they are not alike."""
    with progress_bar(2 * min(len(images), IMAGES), "encode", "image", delay=1) as bar:
        found = measure_rounding(before, after, images, IMAGES, bar.update)
    rows = [
        *((f"PSNR of {' + '.join(name)}, dB", *pair) for name, pair in found.psnr.items()),
        *((f"nats per code of {name}", *pair) for name, pair in found.nats.items()),
    ]
    cells = [(name, f"{first:.3f}", f"{second:.3f}") for name, first, second in rows]
    print(f"{min(len(images), IMAGES)} held-out images of {images.name}")
    print(format_table(("", "run", "copy"), cells))
    shares = (f"{share:.2%} of the {level} codes" for level, share in found.moved.items())
    print(f"rounding changes {', '.join(shares)} of these images")
    if not found.holds():
        decibels, nats = TOLERATED.values()
        raise InputError(
            f"rounding costs more than {decibels} dB or {nats} nats per code: the copy is there, "
            "but its figures are not those of the run"
        )
