"""The standing benchmark: a class-conditional hierarchy on Fashion-MNIST, from images to figures.

    python examples/fashion_mnist_benchmark.py --out runs/fashion-mnist

The preset `fashion-mnist`, trained; 2000 new images of each class; and what they are worth: nats
per code and bits/dim of held-out images, Frechet distance, precision and recall on the features of
a classifier of real images, and the classification accuracy score: how often a classifier that has
seen nothing but the new images is right about the 10 000 real test images. Figures of one such run
are in docs/results.md. What was interrupted goes on where it stopped; `--quick` only shows that
everything works.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np

from vqv2 import pipeline, preset
from vqv2.cli import main as command_line
from vqv2.config import ClassifierConfig
from vqv2.data.array import ArrayImages
from vqv2.data.save import image_file, rounded
from vqv2.errors import InputError
from vqv2.files import atomic_write
from vqv2.hierarchy import Hierarchy
from vqv2.lab.classifier import load_classifier, train_classifier
from vqv2.lab.evaluation import distortion, rates
from vqv2.lab.evaluation.accuracy_score import classification_accuracy_score
from vqv2.lab.evaluation.fidelity import fidelity
from vqv2.lab.evaluation.networks import classifier_features
from vqv2.pictures import save_reconstructions, save_samples
from vqv2.run.codes import open_codes
from vqv2.terminal import format_table
from vqv2.training import TrainingError

CLASSIFIER = ClassifierConfig(channels=1)
COMPARED = 5000  # images of each side for Frechet distance, precision and recall
SHOWN = 12


def main(options):
    """All stages, each as far as it is not done yet, and the figures."""
    config, classifier = configurations(options.quick)
    sources = pipeline.open_splits(options.data, config.autoencoder)
    run = pipeline.open_or_begin(options.out, config, options.data, sources)
    clock = Clock(run.folder / "seconds.json")

    # Both stages of the hierarchy (Algorithms 1 and 2).
    with clock("autoencoder"):
        if not run.codes_folder.exists():
            pipeline.train_autoencoder(run, sources, options.seed, resume=True)
    with clock("codes"):
        if not run.codes_folder.exists():
            pipeline.extract_codes(run, sources)
    for level in config.levels:
        with clock(f"prior {level}"):
            pipeline.train_prior(run, level, options.seed, resume=True)
    hierarchy = Hierarchy.load(run.folder)

    # Two classifiers of the same kind: one of real images, one of new images only.
    with clock("samples"):
        path = run.folder / "samples.npz"
        if not path.exists():
            save_as_data(path, hierarchy, options.samples, options.seed)
    samples = {split: ArrayImages(path, None, 1, split) for split in ("train", "held_out", "all")}
    with clock("classifier of real images"):
        train_in(run.folder / "classifier", classifier, sources, options.data, options.seed)
    with clock("classifier of samples"):
        judge = train_in(
            run.folder / "classifier-of-samples", classifier, samples, str(path), options.seed
        )
    real = load_classifier(run.folder / "classifier")

    with clock("figures"):
        figures = {
            "seed": options.seed,
            **rate_distortion(run, hierarchy, sources["held_out"]),
            "fidelity": compare(run, hierarchy, sources["held_out"], samples["all"], options.seed),
            "accuracy of a classifier of real images": accuracy(real, sources, options.seed),
            "classification accuracy score": accuracy(judge, sources, options.seed),
        }
    figures["seconds"] = clock.seconds
    with atomic_write(run.folder / "benchmark.json") as temporary:
        temporary.write_text(json.dumps(figures, indent=1) + "\n")
    save_pictures(run.folder, hierarchy, sources["held_out"], options.seed)
    print_figures(figures)

    # Figure 10, with the classifier of real images.
    command_line.main(
        ["reject", str(run.folder), "--classifier", str(run.folder / "classifier"), "--count"]
        + [str(options.samples // 4), "--out", str(run.folder / "rejection")]
    )


def configurations(quick):
    """(hierarchy, classifier); with `quick` both are so small that they learn nothing."""
    config = preset("fashion-mnist")
    if not quick:
        return config, CLASSIFIER
    small = {"hidden_units": 8, "residual_units": 8, "steps": 3}
    config = config.with_autoencoder(
        dataclasses.replace(config.autoencoder, codebook_size=16, codebook_dimension=8, **small)
    )
    for level in config.levels:
        config = config.with_prior(level, dataclasses.replace(config.prior(level), **small))
    config = dataclasses.replace(config, name="fashion-mnist-quick")
    return config, dataclasses.replace(CLASSIFIER, hidden_units=4, steps=3)


class Clock:
    """Seconds of every stage, by the wall and of the processor, over all calls of the script."""

    def __init__(self, path):
        self.path = path
        self.seconds = json.loads(path.read_text()) if path.exists() else {}
        self.stage = self.started = None

    def __call__(self, stage):
        """Time a stage: `with clock("codes"): ...`."""
        self.stage = stage
        return self

    def __enter__(self):
        self.started = time.monotonic(), time.process_time()

    def __exit__(self, *error):
        wall, processor = self.started
        before = self.seconds.get(self.stage, {"wall": 0.0, "processor": 0.0})
        self.seconds[self.stage] = {
            "wall": before["wall"] + time.monotonic() - wall,
            "processor": before["processor"] + time.process_time() - processor,
        }
        with atomic_write(self.path) as temporary:
            temporary.write_text(json.dumps(self.seconds, indent=1) + "\n")


def save_as_data(path, hierarchy, per_class, seed):
    """New images of every class as a file that `--data` takes: uint8 images, and labels."""
    labels = np.repeat(np.arange(len(hierarchy.class_names)), per_class)
    names = [hierarchy.class_names[label] for label in labels]
    batches = hierarchy.sample_batches(len(labels), names, seed, batch=500, progress=True)
    with image_file(path, (len(labels), *hierarchy.image_shape), labels) as add:
        for images in batches:
            add(rounded(images))


def train_in(folder, config, sources, data, seed):
    """The classifier in `folder`, trained as far as it is not yet."""
    train_classifier(folder, config, sources, data, seed, resume=True)
    return load_classifier(folder)


def rate_distortion(run, hierarchy, held_out):
    """What held-out images cost in codes, and what codes cost in pixels."""
    store = open_codes(run.codes_folder, hierarchy.identity)
    return {
        "distortion": {
            " + ".join(levels): figures._asdict()
            for levels, figures in distortion(hierarchy, held_out, len(held_out), 250).items()
        },
        "rate": {
            split: {
                level: {
                    "nats/code": rate.nats_per_code,
                    "bits/image": rate.bits_per_image,
                    "bits/dim": rate.bits_per_dim,
                }
                for level, rate in rates(hierarchy, store, split, len(held_out)).items()
            }
            for split in ("train", "held_out")
        },
    }


def compare(run, hierarchy, held_out, samples, seed):
    """Real test images against samples, and against their own reconstructions: the best there is.

    Every figure is (value, lower, upper end of a 95 % interval).
    """
    network = classifier_features(run.folder / "classifier")
    chosen = spread(len(held_out))
    real = held_out.batch(chosen)
    features = {
        "samples": network.features(samples.batch(spread(len(samples)))),
        "reconstructions": network.features(hierarchy.decode(hierarchy.encode(real))),
    }
    rng = np.random.default_rng(seed)
    reference = network.features(real)
    return {
        name: {k: tuple(v) for k, v in fidelity(reference, part, rng)._asdict().items()}
        for name, part in features.items()
    }


def spread(count):
    """At most COMPARED places, evenly spread, as samples are sorted by class."""
    return np.linspace(0, count - 1, min(count, COMPARED)).astype(int)


def accuracy(classifier, sources, seed):
    """How often it is right about real test images, with a 95 % interval, and for each class."""
    held_out = sources["held_out"]
    score = classification_accuracy_score(
        lambda _: classifier.probabilities, sources["train"], held_out, np.random.default_rng(seed)
    )
    by_class = dict(zip(held_out.class_names, score.by_class.tolist(), strict=True))
    return {"all": tuple(score.accuracy), **by_class}


def save_pictures(folder, hierarchy, held_out, seed):
    """Reconstructions of test images, and new images, none picked by hand."""
    places = np.linspace(0, len(held_out) - 1, SHOWN).astype(int)
    save_reconstructions(folder / "reconstructions.png", hierarchy, held_out.batch(places))
    save_samples(folder / "samples.png", hierarchy, SHOWN, seed)


def print_figures(figures):
    """The tables of docs/results.md."""
    rows = [
        [level, *(f"{figures['rate'][split][level][unit]:.4g}" for unit in ("nats/code", "bits/dim")
                  for split in ("held_out", "train"))]
        for level in figures["rate"]["train"]
    ]  # fmt: skip
    columns = ("level", "nats/code held out", "training", "bits/dim held out", "training")
    print(format_table(columns, rows), end="\n\n")
    rows = [
        [name, f"{d['mse']:.5f}", f"{d['psnr']:.2f}"] for name, d in figures["distortion"].items()
    ]
    print(format_table(("levels", "MSE", "PSNR (dB)"), rows), end="\n\n")
    rows = [[name, *map(interval, part.values())] for name, part in figures["fidelity"].items()]
    print(format_table(("test images and", "Frechet", "precision", "recall"), rows), end="\n\n")
    kinds = ("accuracy of a classifier of real images", "classification accuracy score")
    names = figures[kinds[0]]
    rows = [
        [name, *(interval(figures[k][name]) if name == "all" else f"{figures[k][name]:.3f}"
                 for k in kinds)]
        for name in names
    ]  # fmt: skip
    print(format_table(("class", "classifier of real images", "of samples only"), rows), end="\n\n")
    rows = [[s, f"{t['wall']:.0f}", f"{t['processor']:.0f}"] for s, t in figures["seconds"].items()]
    print(format_table(("stage", "seconds", "of the processor"), rows), end="\n\n")


def interval(estimate):
    """ "0.812 (0.804 to 0.820)"."""
    value, low, high = estimate
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def parsed():
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist", help="fashion-mnist[:FOLDER]")
    parser.add_argument("--out", default="runs/fashion-mnist", help="the run folder")
    parser.add_argument("--samples", type=int, default=2000, help="new images of each class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="tiny models, few steps")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main(parsed())
    except (InputError, TrainingError) as error:
        raise SystemExit(f"{Path(sys.argv[0]).name}: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("stopped; the same command goes on from the last checkpoint") from None
