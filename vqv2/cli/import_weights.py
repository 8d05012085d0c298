"""`vqv2 import`: a run that begins with an autoencoder from elsewhere."""

from vqv2 import pipeline
from vqv2.cli.arguments import (
    DATA_HELP,
    add_command,
    add_settings,
    check_seed,
    parse_settings,
)
from vqv2.cli.overview import print_skipped
from vqv2.data.images import absolute_data
from vqv2.lab.interchange import begin_run, read_autoencoder
from vqv2.presets import PRESETS, preset
from vqv2.run import Run


def add_parser(subparsers):
    """Add `import`."""
    parser = add_command(
        subparsers,
        "import",
        "begin a run with the autoencoder of a safetensors file: one of `vqv2 export`, or the "
        "state of the PyTorch port's VQVAE",
        (
            "vqv2 import vqvae.safetensors --data photos/ --out runs/photos",
            "vqv2 encode runs/photos",
        ),
        _import,
    )
    parser.add_argument("file", metavar="FILE", help="weights, .safetensors")
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--out", required=True, metavar="RUN", help="the run folder to fill")
    parser.add_argument(
        "--image-size",
        type=int,
        default=256,
        metavar="N",
        help="pixels, which the port's weights do not tell (default: 256)",
    )
    parser.add_argument(
        "--preset",
        default="imagenet256",
        help=f"for the priors: one of {', '.join(PRESETS)} (default: imagenet256)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of training it further")
    add_settings(
        parser, "change a field of the configuration that the weights leave open: batch, steps, ..."
    )


def _import(arguments):
    check_seed(arguments.seed)
    config, settings = preset(arguments.preset), parse_settings(arguments.settings)
    model = read_autoencoder(arguments.file, arguments.image_size, settings)
    config = config.with_autoencoder(model.config)
    run = Run.new(arguments.out, config, (), absolute_data(arguments.data))
    sources = pipeline.open_splits(run.data, model.config)
    print_skipped(sources)
    run.class_names = sources["train"].class_names
    begin_run(run, model, sources, arguments.file, arguments.seed)
    sizes = " and ".join(f"{size}x{size}" for size in model.config.latent_sizes)
    print(f"{model.parameter_count()} parameters, codes of {sizes}, saved in {run.folder}")
