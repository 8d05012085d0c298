"""`vqv2 export`: a trained model's weights for other programs."""

from vqv2.cli.arguments import add_command, add_run
from vqv2.errors import InputError
from vqv2.files import check_writable
from vqv2.lab.interchange import NAMES, write_weights
from vqv2.run import Run


def add_parser(subparsers):
    """Add `export`."""
    parser = add_command(
        subparsers,
        "export",
        "write the averaged weights of an autoencoder or a prior to a safetensors file",
        (
            "vqv2 export runs/photos --out autoencoder.safetensors",
            "vqv2 export runs/photos --names pytorch --out vqvae.safetensors",
            "vqv2 export runs/photos --part prior-top --out top.safetensors",
        ),
        _export,
    )
    add_run(parser, "a run folder")
    parser.add_argument("--part", default="autoencoder", help="autoencoder (default), prior-LEVEL")
    parser.add_argument(
        "--names",
        default="vqv2",
        help=f"{' or '.join(NAMES)}: our own (default), or those of the PyTorch port",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="the .safetensors to write")


def _export(arguments):
    check_writable(arguments.out)
    run = Run.open(arguments.run_folder)
    if arguments.part not in run.stages:
        parts = ", ".join(run.stages)
        raise InputError(f"there is no part {arguments.part!r}: choose one of {parts}")
    if arguments.part == "autoencoder":
        model, _ = run.load_autoencoder()
    else:
        level = arguments.part.removeprefix("prior-")
        model = run.load_prior(level, run.autoencoder_identity())
    write_weights(arguments.out, model, arguments.names, arguments.part)
    print(f"{model.parameter_count()} parameters in {arguments.out}")
