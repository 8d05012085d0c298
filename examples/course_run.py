"""The small hierarchy that the lessons share: its images, its settings, and its run folder.

Training it takes a minute or two. The first lesson that needs a stage trains it, in the folder
given by `--out`; the others find it there.
"""

import dataclasses
import shutil

from PIL import Image

from vqv2 import pipeline
from vqv2.config import AutoencoderConfig, Config, PriorConfig
from vqv2.data.images import open_images
from vqv2.run.codes import open_codes
from vqv2.training import Schedule

SIZE = 32
CLASSES = ("faces", "flags")
STAGES = ("autoencoder", "codes", "prior-top", "prior-bottom")


def configuration(quick, level_dropout=0.15):
    """A `Config` of two levels, 4x4 over 8x8, for 32x32 pixels; `quick` has fewer steps.

    `level_dropout` is how often the decoder has to do without the bottom while it is trained.
    """
    autoencoder = AutoencoderConfig(
        image_size=SIZE,
        latent_sizes=(4, 8),
        hidden_units=32,
        residual_units=16,
        codebook_size=64,
        codebook_dimension=16,
        level_dropout=level_dropout,
        restart_after=25,
        batch=16,
        steps=800 if quick else 3000,
        learning_rate=4e-3,
        decay_learning_rate=True,
        polyak_decay=0.98,
        augmentation="none",
        precision="float32",  # the same on every device, as the figures that lessons expect
    )
    top = PriorConfig(
        hidden_units=32,
        residual_units=64,
        layers=4,
        attention_layers=1,
        attention_heads=2,
        dropout=0.1,
        output_stack_layers=1,
        batch=32,
        steps=250,  # more of them over-fit: there are only some hundred images
        warmup_steps=100,
        polyak_decay=0.98,
        precision="float32",
    )
    bottom = dataclasses.replace(
        top,
        attention_layers=0,
        filter_size=3,
        output_stack_layers=0,
        conditioning_blocks=2,
        conditioning_units=32,
    )
    return Config("course-quick" if quick else "course", autoencoder, (top, bottom)).check()


def images(out):
    """(training, held-out) `ImageSource` of the flags and faces among the emoji.

    They are written as PNG files to OUT/images/CLASS/, as your own images might lie there.
    """
    folder = out / "images"
    if not folder.exists():
        partial = out / "images.partial"
        shutil.rmtree(partial, ignore_errors=True)
        emoji = open_images(f"emoji:{SIZE}", SIZE, split="all")
        for name in CLASSES:
            (partial / name).mkdir(parents=True)
        for index, label in enumerate(emoji.labels):
            name = emoji.class_names[label]
            if name in CLASSES:
                Image.fromarray(emoji.read(index)).save(partial / name / f"{index:04}.png")
        partial.rename(folder)
    return tuple(open_images(folder, SIZE, split=split) for split in ("train", "held_out"))


def trained(options, until, level_dropout=0.15):
    """The `Run` in OUT/run-quick or OUT/run with all stages up to `until`, one of STAGES.

    With another `level_dropout` it is a run of its own.
    """
    training, held_out = images(options.out)
    sources = {"train": training, "held_out": held_out}
    config = configuration(options.quick, level_dropout)
    name = "run-quick" if options.quick else "run"
    folder = options.out / (name if level_dropout == 0.15 else f"{name}-{level_dropout:g}")
    run = pipeline.open_or_begin(folder, config, options.out / "images", sources)
    for stage in STAGES[: STAGES.index(until) + 1]:
        _complete(run, stage, sources)
    return run


def codes(run):
    """The store of the run's extracted codes."""
    return open_codes(run.codes_folder)


def _complete(run, stage, sources):
    """Do what is still missing of a stage."""
    schedule = Schedule(validate_every=100)
    if stage == "codes":
        if not (run.codes_folder / "manifest.json").exists():
            pipeline.extract_codes(run, sources, progress=False)
        return
    if stage == "autoencoder":
        pipeline.train_autoencoder(run, sources, resume=True, schedule=schedule)
    else:
        level = stage.removeprefix("prior-")
        pipeline.train_prior(run, level, resume=True, schedule=schedule)
