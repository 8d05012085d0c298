"""What the two full-scale runs share: their options, and a stage that goes on where it stopped."""

import argparse
import dataclasses
import sys
from pathlib import Path

from backends import BackendError
from vqv2.cli import settings
from vqv2.cli.arguments import MOST_SAMPLES, check_count, check_seed, parse_settings
from vqv2.errors import InputError
from vqv2.pictures import check_shown
from vqv2.training import TrainingError


def start(main, description):
    """main(options of the command line); what a person can do something about, in one sentence."""
    chosen = options(description)
    try:
        main(chosen)
    except (InputError, BackendError, TrainingError) as error:
        raise SystemExit(f"{Path(sys.argv[0]).name}: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("stopped; the same command goes on from the last checkpoint") from None


def options(description):
    """The options of a full-scale run."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder of images, or emoji:SIZE to try out")
    parser.add_argument("--out", required=True, help="run folder; an interrupted run goes on there")
    parser.add_argument(
        "--stage",
        default="all",
        help="all (default), or one: autoencoder, codes, prior-LEVEL, samples",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=8, help="images per class, or in all")
    parser.add_argument(
        "--small", action="store_true", help="an eighth of the size, tiny layers, 4 steps: a trial"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="PART.FIELD=VALUE",
        help="PART is autoencoder or a level, FIELD as in `vqv2 config show`; may be repeated",
    )
    return parser.parse_args()


def changed(config, options, rows=1):
    """A preset `config` as --small and --set want it.

    Raises `InputError`, also for what the later stages would find out about the other options, such
    as more --samples than a picture of so many rows can show.
    """
    stages = ("all", "autoencoder", "codes", *(f"prior-{n}" for n in config.levels), "samples")
    if options.stage not in stages:
        raise InputError(f"--stage {options.stage}: choose one of {', '.join(stages)}")
    if options.small:
        config = _small(config)
    for setting in options.settings:
        part, _, rest = setting.partition(".")
        if "=" not in rest or part not in ("autoencoder", *config.levels):
            raise InputError(
                f"--set {setting}: write PART.FIELD=VALUE, PART being autoencoder or one of "
                f"{', '.join(config.levels)}"
            )
    config = settings.changed(config, parse_settings(options.settings))
    check_seed(options.seed)
    check_count("--samples", options.samples, MOST_SAMPLES)
    check_shown(rows * options.samples, config.autoencoder.image_size)
    return config


def _small(config):
    """The same hierarchy, so small that a processor runs all of it in a minute."""
    autoencoder = dataclasses.replace(
        config.autoencoder,
        image_size=config.autoencoder.image_size // 8,
        latent_sizes=tuple(size // 8 for size in config.autoencoder.latent_sizes),
        hidden_units=16,
        residual_units=8,
        codebook_size=32,
        codebook_dimension=8,
        batch=4,
        steps=4,
    )
    priors = tuple(
        dataclasses.replace(
            prior,
            hidden_units=16,
            residual_units=16,
            layers=2,
            attention_layers=min(1, prior.attention_layers),
            attention_every=0,
            attention_heads=2,
            output_stack_layers=min(1, prior.output_stack_layers),
            conditioning_blocks=min(2, prior.conditioning_blocks),
            conditioning_units=16,
            batch=4,
            steps=4,
        )
        for prior in config.priors
    )
    return dataclasses.replace(config, autoencoder=autoencoder, priors=priors).check()


def wanted(options, stage):
    """Whether --stage asks for this stage."""
    return options.stage in ("all", stage)
