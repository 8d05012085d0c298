"""`vqv2 evaluate`: everything there is to say about a trained run, on one page."""

from pathlib import Path

from vqv2 import pipeline
from vqv2.cli.arguments import (
    DATA_HELP,
    MOST_SAMPLES,
    add_command,
    add_run,
    by_level,
    check_count,
    check_seed,
)
from vqv2.cli.overview import print_skipped
from vqv2.data.images import open_images
from vqv2.errors import InputError
from vqv2.files import check_writable
from vqv2.hierarchy import Hierarchy
from vqv2.lab.evaluation.encoded import EncodedImages
from vqv2.lab.evaluation.networks import NETWORKS_HELP, open_network
from vqv2.lab.report.curves import require_matplotlib
from vqv2.lab.report.sections import EVALUATIONS, NEED_PRIORS
from vqv2.lab.report.sections.results import as_text, evaluate, sections_of
from vqv2.lab.report.sections.subject import Options, Subject
from vqv2.pictures import check_shown
from vqv2.run import Run
from vqv2.run.pretrained import locate, name_of
from vqv2.run.rules import check_data_classes
from vqv2.terminal import progress_bar

MOST = {  # of every amount; what is only asked for by mistake is above
    "images": MOST_SAMPLES,
    "samples": 100_000,  # which the memory holds, as floats
    "swept": 100_000,
    "shown": 1000,
    "per_class": 1000,
    "classes": 1000,
    "neighbours": 1000,
    "repetitions": 10_000,
}


def add_parser(subparsers):
    """Add `evaluate`."""
    parser = add_command(
        subparsers,
        "evaluate",
        "measure and show what a run has learned: evaluation.json, pictures, report.html",
        (
            "vqv2 evaluate runs/emoji",
            "vqv2 evaluate runs/emoji --only rate-distortion,usage --images 5000",
            "vqv2 evaluate runs/emoji --only fidelity --samples 1000 --temperature 0.9",
            "vqv2 evaluate runs/photos --only neighbours --features vgg16:vgg16.safetensors",
        ),
        _evaluate,
    )
    add_run(parser, "a run folder with an autoencoder")
    parser.add_argument("--data", help=f"{DATA_HELP} (default: what the autoencoder learned from)")
    parser.add_argument(
        "--held-out", metavar="DATA", help="all of these images in the place of the held-out ones"
    )
    parser.add_argument(
        "--only",
        metavar="NAME,...",
        help=f"some of: {', '.join(EVALUATIONS)} (default: all that the run has priors for)",
    )
    parser.add_argument("--out", metavar="DIR", help="default: RUN/evaluation or NAME-evaluation")
    _add_amounts(parser)
    _add_sampling(parser)


def _add_amounts(parser):
    defaults = Options()
    texts = {
        "images": "images of each split that figures are computed from",
        "samples": "samples that figures are computed from",
        "swept": "samples for each of the temperatures and cut-offs compared",
        "shown": "images in the picture of reconstructions",
        "per_class": "samples of a class in a picture",
        "classes": "classes in a picture of samples, at most",
        "neighbours": "nearest training images shown for a sample",
        "repetitions": "of every timing",
    }
    for name in MOST:
        default = getattr(defaults, name)
        option = "--" + name.replace("_", "-")
        help_text = f"{texts[name]} ({default})"
        parser.add_argument(option, type=int, default=default, metavar="N", help=help_text)
    parser.add_argument(
        "--features",
        action="append",
        metavar="NETWORK",
        help=f"what images are compared by; may be repeated: {NETWORKS_HELP} (default: encoder)",
    )


def _add_sampling(parser):
    parser.add_argument(
        "--temperature",
        default="1",
        metavar="T",
        help="of the samples that figures are computed from, a number or per level: "
        "top=1,bottom=0.9 (1)",
    )
    parser.add_argument("--top-k", default="0", metavar="K", help="keep the K likeliest codes")
    parser.add_argument("--top-p", default="1", metavar="P", help="keep codes of probability P")
    parser.add_argument(
        "--temperatures",
        default="0.8,0.9,1",
        metavar="T,...",
        help="of the pictures of samples, one for each (0.8,0.9,1)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: 0")


def _evaluate(arguments):
    check_seed(arguments.seed)
    for name, most in MOST.items():
        check_count(f"--{name.replace('_', '-')}", getattr(arguments, name), most)
    folder = Path(arguments.out or _default_folder(arguments.run_folder))
    check_writable(folder / "report.html")
    require_matplotlib()
    run = Run.open(arguments.run_folder)
    hierarchy = Hierarchy.load(arguments.run_folder)
    names = _names(arguments.only, hierarchy)
    options = _options(arguments, hierarchy)
    sources = _sources(arguments, run, hierarchy)
    total = sum(min(len(source), options.images) for source in sources.values())
    with progress_bar(total, "encoding", "image") as bar:
        store = EncodedImages(hierarchy, sources, options.images, bar.update)
    subject = Subject(run, hierarchy, sources, store, folder, options)
    content, failed = evaluate(subject, names)
    measured = [name for name in names if name not in failed]
    if measured:
        print(as_text(sections_of(content, folder, measured)))
        print(f"\nOpen {folder / 'report.html'}")
    if failed:
        raise InputError(_why(failed, measured))


def _default_folder(run):
    """Where the page of a run goes: into it, but not into one that comes with vqv2."""
    folder = locate(run)
    name = name_of(folder)
    return f"{name}-evaluation" if name else folder / "evaluation"


def _why(failed, measured):
    """What could not be measured, and how to have the rest without a complaint."""
    reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
    rest = f" (--only {','.join(measured)} leaves it out)" if measured else ""
    return f"not measured: {reasons}{rest}"


def _names(only, hierarchy):
    """The evaluations to make."""
    complete = set(hierarchy.priors) == set(hierarchy.levels)
    if only is None:
        names = [name for name in EVALUATIONS if complete or name not in NEED_PRIORS]
        left_out = [name for name in EVALUATIONS if name not in names]
        if left_out:
            print(f"Not all priors are trained: left out are {', '.join(left_out)}")
        return names
    names = [name.strip() for name in only.split(",")]
    for name in names:
        if name not in EVALUATIONS:
            raise InputError(f"--only {name}: choose from {', '.join(EVALUATIONS)}")
        if name in NEED_PRIORS and not complete:
            missing = [level for level in hierarchy.levels if level not in hierarchy.priors]
            raise InputError(
                f"--only {name} needs samples, but the prior of level {missing[0]} is not trained "
                f"yet: run `vqv2 train prior RUN --level {missing[0]}`"
            )
    return names


def _options(arguments, hierarchy):
    networks = [open_network(text, hierarchy) for text in arguments.features or ()]
    options = Options(
        **{name: getattr(arguments, name) for name in MOST},
        temperature=by_level(arguments.temperature, float, "temperature"),
        top_k=by_level(arguments.top_k, int, "top-k"),
        top_p=by_level(arguments.top_p, float, "top-p"),
        temperatures=_temperatures(arguments.temperatures),
        networks=tuple(networks),
        seed=arguments.seed,
    )
    _check_pictures(options, hierarchy)
    for level in hierarchy.levels:
        hierarchy.settings(level, options.temperature, options.top_k, options.top_p)
        for temperature in options.temperatures:
            hierarchy.settings(level, temperature, 0, 1.0)
    return options


def _check_pictures(options, hierarchy):
    """Raise `InputError` for more images than a picture can show."""
    size, levels = hierarchy.autoencoder.config.image_size, len(hierarchy.levels)
    check_shown(options.shown * (levels + 1), size)
    check_shown(options.per_class * max(1, min(options.classes, len(hierarchy.learned))), size)


def _temperatures(text):
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--temperatures {text}: write numbers, such as 0.8,1") from None


def _sources(arguments, run, hierarchy):
    """{"train", "held_out": ImageSource} of the classes that the run was made for."""
    config = hierarchy.autoencoder.config
    sources = pipeline.open_splits(arguments.data or run.data, config)
    if arguments.held_out:
        sources["held_out"] = open_images(
            arguments.held_out, config.image_size, config.channels, "all"
        )
    print_skipped(sources)
    check_data_classes(run, sources)
    return sources
