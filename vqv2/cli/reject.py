"""`vqv2 reject`: classifier rejection sampling, and what it trades for what (Figure 10)."""

import math
from pathlib import Path

import numpy as np

from vqv2.cli.arguments import (
    CLASS_HELP,
    DATA_HELP,
    MOST_AT_ONCE,
    MOST_SAMPLES,
    add_command,
    add_run,
    by_level,
    check_count,
    check_seed,
)
from vqv2.cli.drawn import DrawnSamples, kept_until_done
from vqv2.data.images import open_images
from vqv2.data.save import image_file
from vqv2.data.split import spread_indices
from vqv2.errors import InputError
from vqv2.files import check_writable, write_json
from vqv2.hierarchy import Hierarchy
from vqv2.lab.classifier import load_classifier
from vqv2.lab.evaluation import rejection
from vqv2.lab.report import Panel, save_curves
from vqv2.pictures import save_image_grid, shown_scale
from vqv2.run import Run
from vqv2.terminal import format_table

COLUMNS, LINES = 10, 2  # images of each percentage in the picture of a class
REAL = 500  # real images of a class, at most, for the scale of the diversity
HEADINGS = ("top %", "images", "confidence", "accuracy", "judged", "diversity")


def add_parser(subparsers):
    """Add `reject`."""
    parser = add_command(
        subparsers,
        "reject",
        "draw samples, rank them by a classifier's confidence, show and measure the best",
        (
            "vqv2 train classifier --data fashion-mnist --set channels=1 --out runs/classifier",
            "vqv2 reject runs/fashion --classifier runs/classifier --count 500 --out runs/rejected",
            "vqv2 reject runs/fashion --classifier runs/classifier --class dress --count 1000 \\",
            "     --temperature 0.9 --out runs/dresses",
        ),
        _reject,
    )
    add_run(parser, "a run folder with trained priors")
    parser.add_argument(
        "--classifier", required=True, metavar="FOLDER", help="what ranks (`train classifier`)"
    )
    parser.add_argument(
        "--judge",
        metavar="FOLDER",
        help="another classifier, trained with another --seed, for an accuracy that the ranking "
        "has not been chosen for",
    )
    parser.add_argument("--class", dest="label", metavar="C", help=f"{CLASS_HELP}; default: all")
    parser.add_argument("--count", type=int, required=True, metavar="N", help="samples per class")
    parser.add_argument(
        "--temperature",
        default="0.9",
        metavar="T",
        help="as for `sample` (default: 0.9)",
    )
    parser.add_argument("--top-k", default="0", metavar="K", help="keep the K likeliest codes")
    parser.add_argument("--top-p", default="1", metavar="P", help="keep codes of probability P")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: 0")
    parser.add_argument("--batch", type=int, default=200, metavar="N", help="images side by side")
    parser.add_argument("--data", help=f"{DATA_HELP} (default: what the autoencoder learned from)")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the folder to fill")


def _reject(arguments):
    check_seed(arguments.seed)
    check_count("--count", arguments.count, MOST_SAMPLES)
    check_count("--batch", arguments.batch, MOST_AT_ONCE)
    folder = Path(arguments.out)
    check_writable(folder / "rejection.json")
    hierarchy = Hierarchy.load(arguments.run_folder)
    chosen = _labels(hierarchy, arguments.label)
    classifier = _classifier(arguments.classifier, hierarchy)
    judge = _classifier(arguments.judge, hierarchy) if arguments.judge else None
    scales = _real_spreads(arguments, hierarchy, chosen)
    drawn = _samples(arguments, hierarchy, list(scales), folder)
    with kept_until_done(drawn.values()):
        for samples in drawn.values():
            samples.draw()
        tables = _judged(arguments.seed, drawn, scales, classifier, judge, folder)
        means = rejection.mean_over_classes(list(tables.values()))
        _save_figures(folder / "rejection.json", arguments, tables, means)
        _save_trade_off(folder / "trade-off.png", means)
    print(format_table(HEADINGS, [_cells(row) for row in means]))
    print(f"means over {', '.join(tables)}; pictures, figures and ranked.npz in {folder}")


def _judged(seed, drawn, scales, classifier, judge, folder):
    """{class: its `Kept` rows}; saves pictures, and all samples: class after class, the best first.

    `--data` reads these.
    """
    labels = np.array(list(drawn), np.int64)
    first, tables = next(iter(drawn.values())), {}
    shape = (len(drawn) * first.count, *first.shape[1:])
    with image_file(folder / "ranked.npz", shape, np.repeat(labels, first.count)) as add:
        for label, samples in drawn.items():
            images = samples.pixels()
            probabilities = rejection.class_probabilities(classifier, images)
            judged = rejection.class_probabilities(judge, images) if judge else None
            tables[samples.hierarchy.class_names[label]] = rejection.trade_off(
                images, label, probabilities, judged, scales[label]
            )
            order = rejection.ranking(probabilities[:, label])
            _save_grids(folder / f"class-{label}.png", images, order, seed)
            for start in range(0, len(order), samples.batch):
                add(images[order[start : start + samples.batch]])
    return tables


def _labels(hierarchy, label):
    """The class numbers to sample."""
    if not hierarchy.class_names:
        raise InputError("rejection sampling needs classes, but this hierarchy has none")
    if label is None:
        return range(len(hierarchy.class_names))
    return hierarchy.labels(label, 1, None).tolist()


def _classifier(folder, hierarchy):
    classifier = load_classifier(folder)
    rejection.check_classes(classifier.class_names, hierarchy.class_names, "the run")
    return classifier


def _real_spreads(arguments, hierarchy, labels):
    """{class number: distance between the real images of the class that were trained on}.

    Of all classes those are left out that have too few of them.
    """
    config = hierarchy.autoencoder.config
    data = arguments.data or Run.open(arguments.run_folder).data
    source = open_images(data, config.image_size, config.channels, "train")
    if source.class_names != hierarchy.class_names:
        raise InputError(f"{source.name} has other classes than the run: give its own data")
    spreads = {}
    for label in labels:
        places = np.flatnonzero(source.labels == label)
        if len(places) < 2:
            few = (
                f"{source.name} has {len(places)} training images of class "
                f"{source.class_names[label]}: the diversity of samples is compared with that of "
                "at least 2"
            )
            if arguments.label is not None:
                raise InputError(few)
            print(f"left out: {few}")
            continue
        real = source.batch(places[spread_indices(len(places), REAL)])
        spreads[label] = rejection.spread(real)
    if not spreads:
        raise InputError(f"{source.name} has no class of which there are 2 training images")
    return spreads


def _samples(arguments, hierarchy, labels, folder):
    """{class number: `DrawnSamples`}; other numbers are drawn for every class."""
    return {
        label: DrawnSamples(
            folder / f"class-{label}.codes",
            hierarchy,
            arguments.count,
            hierarchy.class_names[label],
            arguments.seed + label,
            arguments.batch,
            arguments.communicator,
            temperature=by_level(arguments.temperature, float, "temperature"),
            top_k=by_level(arguments.top_k, int, "top-k"),
            top_p=by_level(arguments.top_p, float, "top-p"),
        )
        for label in labels
    }


def _save_grids(path, images, order, seed):
    """Figure 10: for every percentage, samples drawn uniformly from the best."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for percentage in rejection.PERCENTAGES:
        chosen = rejection.shown(order, percentage, COLUMNS * LINES, rng)
        for start in range(0, len(chosen), COLUMNS):
            rows.append(images[chosen[start : start + COLUMNS]] / np.float32(255))
            labels.append("" if start else f"top {percentage} %")
    save_image_grid(path, rows, row_labels=labels, scale=shown_scale(images.shape[1]))


def _save_figures(path, arguments, tables, means):
    content = {
        "seed": arguments.seed,
        "temperature": arguments.temperature,
        "top_k": arguments.top_k,
        "top_p": arguments.top_p,
        "classes": {name: [row._asdict() for row in rows] for name, rows in tables.items()},
        "mean": [row._asdict() for row in means],
    }
    write_json(path, content)


def _cells(row):
    return [f"{row.percentage:g}", str(row.count), *(_text(value) for value in row[2:])]


def _text(value):
    return "-" if math.isnan(value) else f"{value:.3f}"


def _save_trade_off(path, rows):
    percentages = [row.percentage for row in rows]
    accuracies = {"classifier that ranks": [row.accuracy for row in rows]}
    if not math.isnan(rows[0].judged):
        accuracies["second classifier"] = [row.judged for row in rows]
    diversities = [row.diversity for row in rows]
    save_curves(
        path,
        [
            Panel(
                "Accuracy",
                "kept, % of the samples",
                "share of the intended class",
                {name: (percentages, values) for name, values in accuracies.items()},
            ),
            Panel(
                "Diversity",
                "kept, % of the samples",
                "distance, relative to real images",
                {"samples": (percentages, diversities)},
                {"real images": 1.0},
            ),
            Panel(
                "Trade-off",
                "diversity, relative to real images",
                "share of the intended class",
                {name: (diversities, values) for name, values in accuracies.items()},
            ),
        ],
    )
