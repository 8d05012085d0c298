"""`vqv2 train classifier`: what judges samples, and the classification accuracy score."""

import dataclasses
from pathlib import Path

import numpy as np

from vqv2.cli import training
from vqv2.cli.arguments import DATA_HELP
from vqv2.cli.overview import print_overview, print_skipped
from vqv2.config import ClassifierConfig, replace
from vqv2.data.images import absolute_data, open_images
from vqv2.errors import InputError
from vqv2.lab.classifier import begun_classifier, load_classifier, train_classifier
from vqv2.lab.classifier.training import STAGE
from vqv2.lab.evaluation.accuracy_score import classification_accuracy_score
from vqv2.lab.evaluation.rejection import check_classes
from vqv2.run import read_stage
from vqv2.terminal import format_table


def run(arguments):
    """Train it, and count its right answers where that is asked for."""
    _, settings = training.fields(arguments)
    begun = read_stage(arguments.out, STAGE) or {} if arguments.resume else {}
    seed, schedule = training.seed_and_schedule(arguments, begun)
    config, data, size = _subject(arguments, settings)
    sources = {
        split: open_images(data, size, config.channels, split) for split in ("train", "held_out")
    }
    config = dataclasses.replace(config, image_size=sources["train"].size).check()
    test = _open_test(arguments.test, config, sources["train"].class_names)
    print_overview(sources)
    skipped = print_skipped(sources)
    training.advise(config, schedule, begun)
    result = train_classifier(
        arguments.out,
        config,
        sources,
        absolute_data(data),
        seed,
        arguments.resume,
        schedule,
        adjust=True,
    )
    print_skipped(sources, skipped)
    training.print_result(result, Path(arguments.out))
    if test is not None:
        _print_test(arguments.out, seed, sources["train"], test)


def _subject(arguments, settings):
    """(configuration, data, size of its images or None for the data's own)."""
    if arguments.resume and (begun := begun_classifier(arguments.out)):
        former, data = begun
        config = replace(former, settings)
        training.check_continues(former, config, arguments, arguments.out)
        return config, arguments.data or data, former.image_size
    if not arguments.data:
        raise InputError("--data is missing: " + DATA_HELP)
    config = replace(ClassifierConfig(), settings)
    return config, arguments.data, config.image_size if "image_size" in settings else None


def _open_test(data, config, class_names):
    """The held-out images of --test, which must have the same classes; None without."""
    if not data:
        return None
    test = open_images(data, config.image_size, config.channels, "held_out")
    check_classes(class_names, test.class_names, test.name)
    return test


def _print_test(folder, seed, images, test):
    classifier, rng = load_classifier(folder), np.random.default_rng(seed)
    score = classification_accuracy_score(lambda _: classifier.probabilities, images, test, rng)
    value, low, high = score.accuracy
    rows = [(n, f"{v:.3f}") for n, v in zip(test.class_names, score.by_class, strict=True)]
    print(format_table(("class", "accuracy"), rows))
    print(f"{len(test)} images of {test.name}: {value:.4f} ({low:.4f} to {high:.4f})")
