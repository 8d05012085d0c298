"""`vqv2 train autoencoder` and `vqv2 train prior`: the two stages; `vqv2 train classifier`."""

import dataclasses
from pathlib import Path

import numpy as np

from vqv2 import pipeline
from vqv2.commands.arguments import DATA_HELP, add_command, check_seed, parse_settings
from vqv2.commands.skipped import print_skipped
from vqv2.config import PRESETS, ClassifierConfig, preset, replace
from vqv2.data.images import absolute_data, open_images
from vqv2.errors import InputError
from vqv2.evaluation.accuracy_score import classification_accuracy_score
from vqv2.evaluation.rejection import check_classes
from vqv2.report import format_table
from vqv2.run import Run
from vqv2.training import classifier_data, load_classifier, train_classifier


def add_parser(subparsers):
    """Add `train` with its two stages, and the classifier that judges what comes of them."""
    parser = subparsers.add_parser(
        "train", help="train the autoencoder, one level's prior, or a classifier"
    )
    stages = parser.add_subparsers(title="stages", metavar="STAGE", required=True)
    _add_autoencoder(stages)
    _add_prior(stages)
    _add_classifier(stages)


def _add_autoencoder(stages):
    parser = add_command(
        stages,
        "autoencoder",
        "stage 1: train the hierarchical autoencoder on images",
        (
            "vqv2 train autoencoder --data emoji:64 --preset demo --out runs/emoji",
            "vqv2 train autoencoder --data photos/ --preset imagenet256 --out runs/photos \\",
            "     --batch 16 --set hidden_units=64 --set residual_units=32",
            "vqv2 train autoencoder --out runs/photos --resume",
        ),
        _train_autoencoder,
    )
    parser.add_argument("--data", help=DATA_HELP)
    parser.add_argument("--preset", help=f"one of {', '.join(PRESETS)} (default: demo)")
    parser.add_argument("--out", required=True, metavar="RUN", help="the run folder to fill")
    _add_common(parser)


def _add_prior(stages):
    parser = add_command(
        stages,
        "prior",
        "stage 2: train the prior of one level on extracted codes",
        (
            "vqv2 train prior runs/emoji --level top",
            "vqv2 train prior runs/emoji --level bottom --steps 5000 --set dropout=0.2",
            "vqv2 train prior runs/emoji --level top --resume --steps 20000",
        ),
        _train_prior,
    )
    parser.add_argument("run_folder", metavar="RUN", help="a run folder with codes")
    parser.add_argument("--level", required=True, help="top, bottom, ...")
    _add_common(parser)


def _add_classifier(stages):
    parser = add_command(
        stages,
        "classifier",
        "for evaluation: train a small classifier on images with classes",
        (
            "vqv2 train classifier --data fashion-mnist --set channels=1 --out runs/classifier",
            "vqv2 train classifier --data photos/ --set image_size=64 --steps 5000 \\",
            "     --out runs/classifier",
            "vqv2 train classifier --out runs/classifier --resume --steps 8000",
            "vqv2 train classifier --data samples.npz --test fashion-mnist --set channels=1 \\",
            "     --out runs/classifier-of-samples",
        ),
        _train_classifier,
    )
    parser.add_argument("--data", help=DATA_HELP)
    parser.add_argument(
        "--test",
        metavar="DATA",
        help="count right answers on these held-out images, too: of a classifier of samples only, "
        "on real images, that is the classification accuracy score",
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the folder to fill")
    _add_common(parser)


def _add_common(parser):
    parser.add_argument("--steps", type=int, metavar="N", help="train up to this step")
    parser.add_argument("--batch", type=int, metavar="N", help="images per step")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: 0")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint")
    parser.add_argument(
        "--set",
        action="append",
        dest="settings",
        metavar="FIELD=VALUE",
        help="change a field of the configuration; may be repeated (see vqv2/config.py)",
    )


def _settings(arguments):
    """{field: value} that the arguments change."""
    settings = parse_settings(arguments.settings)
    if arguments.resume and (settings or arguments.batch):
        raise InputError(
            "--resume continues with the run's own configuration: only --steps may be given"
        )
    check_seed(arguments.seed)
    for name in ("steps", "batch"):
        if getattr(arguments, name) is not None:
            settings[name] = getattr(arguments, name)
    return settings


def _train_autoencoder(arguments):
    settings = _settings(arguments)
    run = _resumed_run(arguments, settings) if arguments.resume else _new_run(arguments, settings)
    pipeline.check_stage(run, "autoencoder", arguments.resume)
    sources = pipeline.open_splits(run.data, run.config.autoencoder)
    skipped = print_skipped(sources)
    run.class_names = sources["train"].class_names
    result = pipeline.train_autoencoder(
        run, sources, arguments.seed, arguments.resume, on_start=run.save
    )
    print_skipped(sources, skipped)
    _print_result(result, run.stage_folder("autoencoder"))


def _new_run(arguments, settings):
    if not arguments.data:
        raise InputError("--data is missing: " + DATA_HELP)
    config = preset(arguments.preset or "demo")
    conditional = {name: settings.pop(name) for name in ("conditional",) if name in settings}
    config = config.with_autoencoder(replace(config.autoencoder, settings))
    return Run.new(arguments.out, replace(config, conditional), (), absolute_data(arguments.data))


def _resumed_run(arguments, settings):
    run = Run.open(arguments.out)
    if arguments.preset and arguments.preset != run.config.name:
        raise InputError(f"{run.folder} was made with --preset {run.config.name}: leave it out")
    run.data = absolute_data(arguments.data) if arguments.data else run.data
    run.config = run.config.with_autoencoder(replace(run.config.autoencoder, settings))
    return run


def _train_prior(arguments):
    settings = _settings(arguments)
    run = Run.open(arguments.run_folder)
    level, stage = arguments.level, f"prior-{arguments.level}"
    run.check_level(level)
    run.config = run.config.with_prior(level, replace(run.config.prior(level), settings))
    pipeline.check_stage(run, stage, arguments.resume)
    result = pipeline.train_prior(
        run,
        level,
        arguments.seed,
        arguments.resume,
        on_start=lambda: run.save_prior(level),
    )
    _print_result(result, run.stage_folder(stage))


def _train_classifier(arguments):
    settings = _settings(arguments)
    if arguments.resume:
        former = load_classifier(arguments.out).config
        data = arguments.data or classifier_data(arguments.out)
        config, size = replace(former, settings), former.image_size
    elif arguments.data:
        config, data = replace(ClassifierConfig(), settings), arguments.data
        size = config.image_size if "image_size" in settings else None  # the data's own
    else:
        raise InputError("--data is missing: " + DATA_HELP)
    sources = {
        split: open_images(data, size, config.channels, split) for split in ("train", "held_out")
    }
    config = dataclasses.replace(config, image_size=sources["train"].size).check()
    test = _open_test(arguments.test, config, sources["train"].class_names)
    skipped = print_skipped(sources)
    result = train_classifier(
        arguments.out, config, sources, absolute_data(data), arguments.seed, arguments.resume
    )
    print_skipped(sources, skipped)
    _print_result(result, Path(arguments.out))
    if test is not None:
        _print_test(arguments, sources["train"], test)


def _open_test(data, config, class_names):
    """The held-out images of --test, which must have the same classes; None without."""
    if not data:
        return None
    test = open_images(data, config.image_size, config.channels, "held_out")
    check_classes(class_names, test.class_names, test.name)
    return test


def _print_test(arguments, images, test):
    classifier, rng = load_classifier(arguments.out), np.random.default_rng(arguments.seed)
    score = classification_accuracy_score(lambda _: classifier.probabilities, images, test, rng)
    value, low, high = score.accuracy
    rows = [(n, f"{v:.3f}") for n, v in zip(test.class_names, score.by_class, strict=True)]
    print(format_table(("class", "accuracy"), rows))
    print(f"{len(test)} images of {test.name}: {value:.4f} ({low:.4f} to {high:.4f})")


def _print_result(metrics, folder):
    if not metrics:
        print(f"{folder} has all its steps already: raise --steps to go on")
        return
    figures = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    print(f"held out: {figures}\nsaved in {folder}")
