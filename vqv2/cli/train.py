"""`vqv2 train`: the two stages; and the arguments of the classifier, which judges their samples."""

from pathlib import Path

from vqv2 import pipeline
from vqv2.cli import training
from vqv2.cli.arguments import DATA_HELP, add_command, add_workers
from vqv2.cli.overview import print_overview, print_skipped
from vqv2.cli.processes import after_the_first
from vqv2.cli.settings import changed
from vqv2.data.images import absolute_data
from vqv2.errors import InputError
from vqv2.presets import PRESETS, preset
from vqv2.run import Run, is_run
from vqv2.run.rules import check_train
from vqv2.training.start import remarks


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
            "vqv2 train autoencoder --from runs/photos --data mine/ --out runs/mine --steps 5000",
            "vqv2 train autoencoder --from emoji --data mine/ --out runs/mine --steps 2000",
            "vqv2 train autoencoder --out runs/photos --resume",
            "vqv2 train autoencoder --out runs/photos --resume --set learning_rate=1e-4",
        ),
        _train_autoencoder,
    )
    parser.add_argument("--data", help=DATA_HELP)
    add_workers(parser)
    parser.add_argument(
        "--preset",
        help=f"one of {', '.join(PRESETS)} (default: demo, or what --from was made with)",
    )
    _add_from(parser)
    parser.add_argument("--out", required=True, metavar="RUN", help="the run folder to fill")
    parser.set_defaults(shared=True)
    training.add_training(parser)
    training.add_settings_file(parser)


def _add_prior(stages):
    parser = add_command(
        stages,
        "prior",
        "stage 2: train the prior of one level on extracted codes",
        (
            "vqv2 train prior runs/emoji --level top",
            "vqv2 train prior runs/emoji --level bottom --steps 5000 --set dropout=0.2",
            "vqv2 train prior runs/emoji --level top --resume --steps 20000",
            "vqv2 train prior runs/mine --level top --from runs/photos --steps 5000",
        ),
        _train_prior,
    )
    parser.add_argument("run_folder", metavar="RUN", help="a run folder with codes")
    parser.set_defaults(shared=True)
    parser.add_argument("--level", required=True, help="top, bottom, ...")
    _add_from(parser)
    training.add_training(parser)
    training.add_settings_file(parser)


def _add_classifier(stages):
    parser = add_command(
        stages,
        "classifier",
        "for evaluation: train a small classifier on images with classes",
        (
            "vqv2 train classifier --data fashion-mnist --set channels=1 --out runs/classifier",
            "vqv2 train classifier --data photos/ --set image_size=64 --steps 5000 \\",
            "     --out runs/classifier",
            "vqv2 train classifier --out runs/classifier --resume --steps 8000 \\",
            "     --set learning_rate=1e-3",
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
    training.add_training(parser)


def _add_from(parser):
    parser.add_argument(
        "--from",
        dest="origin",
        metavar="OTHER",
        help="begin with the weights of this stage in another run, or in a hierarchy that comes "
        "with vqv2 (`vqv2 pretrained`): fine-tuning",
    )


def _train_autoencoder(arguments):
    name, settings = training.fields(arguments)
    going_on = arguments.resume and (is_run(arguments.out) or not arguments.data)
    run = (_resumed_run if going_on else _new_run)(arguments, name, settings)
    begun = run.begun("autoencoder") if going_on else {}
    seed, schedule = training.seed_and_schedule(arguments, begun)
    check_train(run, "autoencoder", arguments.resume)
    start = _start(arguments, run, "autoencoder")
    with after_the_first(arguments.communicator):
        sources = pipeline.open_splits(run.data, run.config.autoencoder, arguments.workers)
    print_overview(sources)
    skipped = print_skipped(sources)
    run.class_names = sources["train"].class_names
    training.advise(run.config.autoencoder, schedule, begun)
    result = pipeline.train_autoencoder(
        run,
        sources,
        seed,
        arguments.resume,
        schedule,
        on_start=run.save,
        adjust=True,
        start=start,
        communicator=arguments.communicator,
    )
    if not is_run(run.folder):  # it was lost, and there was no step left to do
        run.save()
    print_skipped(sources, skipped)
    training.print_result(result, run.stage_folder("autoencoder"))


def _start(arguments, run, stage):
    """The `Start` that --from gives; None without, and where the stage has begun like that."""
    return pipeline.start_from(run, stage, arguments.origin) if arguments.origin else None


def _new_run(arguments, name, settings):
    if not arguments.data:
        raise InputError("--data is missing: " + DATA_HELP)
    name = arguments.preset or name
    like_other = arguments.origin and not name
    config = Run.open(arguments.origin).config if like_other else preset(name or "demo")
    config = changed(config, settings)
    return Run.new(arguments.out, config, (), absolute_data(arguments.data))


def _resumed_run(arguments, name, settings):
    run = Run.open(Path(arguments.out))
    for given in (arguments.preset, name):
        if given not in (None, run.config.name):
            raise InputError(f"{run.folder} was made with --preset {run.config.name}: leave it out")
    run.data = absolute_data(arguments.data) if arguments.data else run.data
    config = changed(run.config, settings)
    folder = run.stage_folder("autoencoder")
    training.check_continues(run.config.autoencoder, config.autoencoder, arguments, folder)
    _check_priors(run, config)
    run.config = run.config.with_autoencoder(config.autoencoder)
    return run


def _check_priors(run, config):
    """Raise `InputError` where a configuration changes what has not been begun: nobody reads it."""
    if config.conditional != run.config.conditional:
        raise InputError(
            f"the run was begun with conditional {run.config.conditional}, which cannot be changed"
        )
    for level in run.config.levels:
        # A prior that was begun may be another than this command once said, and says again.
        if config.prior(level) != run.config.prior(level) and not run.begun(f"prior-{level}"):
            raise InputError(
                f"the fields of {level} are not changed by going on with the autoencoder: give "
                f"them to `vqv2 train prior {run.folder} --level {level}`"
            )


def _train_prior(arguments):
    _, settings = training.fields(arguments)
    run = Run.open(arguments.run_folder)
    level, stage = arguments.level, f"prior-{arguments.level}"
    run.check_level(level)
    begun = run.begun(stage) if arguments.resume else {}
    prior = changed(run.config, settings, level).prior(level)
    if begun:
        former = run.config.prior(level)
        training.check_continues(former, prior, arguments, run.stage_folder(stage))
    run.config = run.config.with_prior(level, prior)
    seed, schedule = training.seed_and_schedule(arguments, begun)
    check_train(run, stage, arguments.resume)
    start = _start(arguments, run, stage)
    for sentence in remarks(start, run) if start else ():
        print(sentence)
    training.advise(run.config.prior(level), schedule, begun)
    result = pipeline.train_prior(
        run,
        level,
        seed,
        arguments.resume,
        schedule,
        adjust=True,
        communicator=arguments.communicator,
        start=start,
    )
    training.print_result(result, run.stage_folder(stage))


def _train_classifier(arguments):
    from vqv2.cli import train_classifier  # which imports what judges: only where it is wanted

    train_classifier.run(arguments)
