"""`vqv2 encode`: extract the codes of all images once, for the priors."""

from vqv2 import pipeline
from vqv2.commands.arguments import DATA_HELP, add_command, add_workers
from vqv2.commands.skipped import print_skipped
from vqv2.evaluation import code_usage
from vqv2.report import format_table
from vqv2.run import Run


def add_parser(subparsers):
    """Add `encode`."""
    parser = add_command(
        subparsers,
        "encode",
        "extract the codes of all images with the trained autoencoder",
        ("vqv2 encode runs/emoji", "vqv2 encode runs/photos --data more-photos/"),
        _encode,
    )
    parser.add_argument("run_folder", metavar="RUN", help="a run folder with an autoencoder")
    parser.add_argument("--data", help=f"{DATA_HELP} (default: what the autoencoder learned from)")
    add_workers(parser)


def _encode(arguments):
    run = Run.open(arguments.run_folder)
    data = arguments.data or run.data
    sources = pipeline.open_splits(data, run.config.autoencoder, arguments.workers)
    skipped = print_skipped(sources)
    store = pipeline.extract_codes(run, sources)
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
