"""`vqv2 reconstruct`: what each level of codes keeps of real images (Figure 8)."""

import numpy as np

from vqv2.cli.arguments import DATA_HELP, MOST_SAMPLES, add_command, add_run, check_count
from vqv2.cli.overview import print_skipped
from vqv2.data.images import open_images
from vqv2.files import check_writable
from vqv2.hierarchy import Hierarchy
from vqv2.lab.evaluation import distortion
from vqv2.pictures import check_shown, save_reconstructions
from vqv2.run import Run
from vqv2.terminal import format_table


def add_parser(subparsers):
    """Add `reconstruct`."""
    parser = add_command(
        subparsers,
        "reconstruct",
        "decode held-out images from their top codes, from all codes, and beside the original",
        (
            "vqv2 reconstruct runs/emoji --out reconstructions.png",
            "vqv2 reconstruct runs/photos --data holiday/ --split all --count 4 --out holiday.png",
        ),
        _reconstruct,
    )
    add_run(parser, "a run folder with an autoencoder")
    parser.add_argument("--data", help=f"{DATA_HELP} (default: what the autoencoder learned from)")
    parser.add_argument("--split", default="held_out", help="train, held_out (default) or all")
    parser.add_argument("--count", type=int, default=8, metavar="N", help="images to show")
    parser.add_argument("--out", required=True, metavar="PNG", help="the picture to write")


def _reconstruct(arguments):
    check_count("--count", arguments.count, MOST_SAMPLES)
    check_writable(arguments.out, (".png",))
    run = Run.open(arguments.run_folder)
    hierarchy = Hierarchy.load(arguments.run_folder, priors=False)
    config = hierarchy.autoencoder.config
    size, channels = config.image_size, config.channels
    source = open_images(arguments.data or run.data, size, channels, arguments.split)
    shown = min(arguments.count, len(source))
    check_shown(shown * (len(hierarchy.levels) + 1), size)
    figures = distortion(hierarchy, source)
    print_skipped({arguments.split: source})
    rows = [(" + ".join(s), f"{d.mse:.5f}", f"{d.psnr:.2f}") for s, d in figures.items()]
    print(format_table(("levels", "MSE", "PSNR (dB)"), rows))
    images = source.batch(np.linspace(0, len(source) - 1, shown).astype(int))
    save_reconstructions(arguments.out, hierarchy, images)
    print(f"{shown} of {len(source)} images in {arguments.out}")
