"""`vqv2 encode`: extract the codes of all images once, for the priors."""

from vqv2 import pipeline
from vqv2.cli.arguments import DATA_HELP, add_command, add_workers, check_seed
from vqv2.cli.overview import print_skipped
from vqv2.cli.processes import after_the_first
from vqv2.models.quantizer import code_usage
from vqv2.run import Run
from vqv2.run.pretrained import check_own
from vqv2.terminal import format_table


def add_parser(subparsers):
    """Add `encode`."""
    parser = add_command(
        subparsers,
        "encode",
        "extract the codes of all images with the trained autoencoder",
        (
            "vqv2 encode runs/emoji",
            "vqv2 encode runs/emoji --copies 4",
            "vqv2 encode runs/photos --data more-photos/",
        ),
        _encode,
    )
    parser.set_defaults(shared=True)
    parser.add_argument("run_folder", metavar="RUN", help="a run folder with an autoencoder")
    parser.add_argument("--data", help=f"{DATA_HELP} (default: what the autoencoder learned from)")
    parser.add_argument(
        "--copies",
        type=int,
        default=1,
        metavar="N",
        help="encode the training images N times, all but once augmented as they were for the "
        "autoencoder: the priors of a small data set over-fit less (default: 1)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the copies")
    parser.add_argument(
        "--batch",
        type=int,
        metavar="N",
        help="images encoded at once in each process (default: up to 32, so that it takes no more "
        "memory than training did)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="do nothing where these codes are there already"
    )
    add_workers(parser)


def _encode(arguments):
    check_seed(arguments.seed)
    run = Run.open(arguments.run_folder)
    check_own(run.folder)
    data = arguments.data or run.data
    with after_the_first(arguments.communicator):
        sources = pipeline.open_splits(data, run.config.autoencoder, arguments.workers)
    skipped = print_skipped(sources)
    store = pipeline.extract_codes(
        run,
        sources,
        copies=arguments.copies,
        seed=arguments.seed,
        communicator=arguments.communicator,
        resume=arguments.resume,
        batch=arguments.batch,
    )
    if print_skipped(sources, skipped) - skipped:
        print("These were damaged inside: in their places, codes of other images are stored.")
    size = run.config.autoencoder.codebook_size
    rows = []
    for split, count in store.counts.items():
        for level in store.levels:
            perplexity, used = code_usage(store.codes(split, level), size)
            rows.append((split, level, str(count), f"{used} of {size}", f"{perplexity:.1f}"))
    print(format_table(("split", "level", "images", "codes used", "perplexity"), rows))
    print(f"saved in {store.folder}")
