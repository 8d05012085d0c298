"""`vqv2 train autoencoder` and `vqv2 train prior`: the two stages; and the classifier's parser."""

from vqv2 import pipeline
from vqv2.commands import train_classifier, training
from vqv2.commands.arguments import DATA_HELP, add_command, add_workers
from vqv2.commands.overview import print_overview
from vqv2.commands.processes import after_the_first
from vqv2.commands.settings import changed
from vqv2.commands.skipped import print_skipped
from vqv2.data.images import absolute_data
from vqv2.errors import InputError
from vqv2.presets import PRESETS, preset
from vqv2.run import Run, is_run


def add_parser(subparsers):
    """Add `train` with its two stages, and the classifier that judges what comes of them."""
    parser = subparsers.add_parser(
        "train", help="train the autoencoder, one level's prior, or a classifier"
    )
    stages = parser.add_subparsers(title="stages", metavar="STAGE", required=True)
    _add_autoencoder(stages)
    _add_prior(stages)
    train_classifier.add_parser(stages)


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
    add_workers(parser)
    parser.add_argument("--preset", help=f"one of {', '.join(PRESETS)} (default: demo)")
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
        ),
        _train_prior,
    )
    parser.add_argument("run_folder", metavar="RUN", help="a run folder with codes")
    parser.set_defaults(shared=True)
    parser.add_argument("--level", required=True, help="top, bottom, ...")
    training.add_training(parser)
    training.add_settings_file(parser)


def _train_autoencoder(arguments):
    name, settings = training.fields(arguments)
    going_on = arguments.resume and (is_run(arguments.out) or not arguments.data)
    run = (_resumed_run if going_on else _new_run)(arguments, name, settings)
    begun = run.begun("autoencoder") if going_on else {}
    seed, schedule = training.seed(arguments, begun), training.schedule(arguments, begun)
    pipeline.check_stage(run, "autoencoder", arguments.resume)
    sources = after_the_first(
        arguments.communicator,
        lambda: pipeline.open_splits(run.data, run.config.autoencoder, arguments.workers),
    )
    print_overview(sources)
    skipped = print_skipped(sources)
    run.class_names = sources["train"].class_names
    training.say_what_precision_means(run.config.autoencoder)
    result = pipeline.train_autoencoder(
        run,
        sources,
        seed,
        arguments.resume,
        schedule,
        on_start=run.save,
        communicator=arguments.communicator,
    )
    if not is_run(run.folder):  # it was lost, and there was no step left to do
        run.save()
    print_skipped(sources, skipped)
    training.print_result(result, run.stage_folder("autoencoder"))


def _new_run(arguments, name, settings):
    if not arguments.data:
        raise InputError("--data is missing: " + DATA_HELP)
    config = changed(preset(arguments.preset or name or "demo"), settings)
    return Run.new(arguments.out, config, (), absolute_data(arguments.data))


def _resumed_run(arguments, name, settings):
    run = Run.open(arguments.out)
    for given in (arguments.preset, name):
        if given not in (None, run.config.name):
            raise InputError(f"{run.folder} was made with --preset {run.config.name}: leave it out")
    run.data = absolute_data(arguments.data) if arguments.data else run.data
    config = changed(run.config, settings)
    training.check_continues(run.config.autoencoder, config.autoencoder)
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
        if not run.begun(f"prior-{level}") and config.prior(level) != run.config.prior(level):
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
        training.check_continues(run.config.prior(level), prior)
    run.config = run.config.with_prior(level, prior)
    seed, schedule = training.seed(arguments, begun), training.schedule(arguments, begun)
    pipeline.check_stage(run, stage, arguments.resume)
    training.say_what_precision_means(run.config.prior(level))
    result = pipeline.train_prior(
        run, level, seed, arguments.resume, schedule, communicator=arguments.communicator
    )
    training.print_result(result, run.stage_folder(stage))
