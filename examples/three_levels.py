"""Three levels for real: FFHQ's hierarchy of the paper, at a size that a laptop can train.

    python examples/three_levels.py --quick             # seconds: that everything works
    python examples/three_levels.py                     # some minutes: something to look at

The strides are those of Table 3's column "FFHQ": the bottom map has an eighth of the image's side,
the middle one a sixteenth, the top one a 32nd. FFHQ's are 128, 64 and 32 for 1024 pixels; here they
are 16, 8 and 4 for emoji of 128 pixels. The top prior knows the class only, the middle one is told
the top, the bottom one both. A stopped run goes on where it was.

It leaves in OUT/run or OUT/run-quick
    reconstructions.png    held-out emoji from the top codes, from top + middle, from all three
    samples.png            new emoji, one class in each row
    variants.png           one top map in each row: what the two finer levels make of it
"""

import dataclasses
import math

import lesson
import numpy as np

from vqv2 import pipeline
from vqv2.config import AutoencoderConfig, Config, PriorConfig
from vqv2.data.images import ArrayImages
from vqv2.data.split import spread_indices
from vqv2.hierarchy import Hierarchy
from vqv2.lab.evaluation import distortion, unigram_nats
from vqv2.pictures import save_image_grid, save_reconstructions, save_samples
from vqv2.run.codes import open_codes
from vqv2.training import Schedule
from vqv2.training.prior import evaluate_prior

DATA = "emoji:128"
TEMPERATURE = {"top": 0.9, "middle": 0.8, "bottom": 0.6}
VARIED = ("people", "faces", "flags", "animals")  # classes of variants.png


def configuration(quick):
    """Table 2's and 3's columns "FFHQ" in miniature; `quick` learns next to nothing."""
    autoencoder = AutoencoderConfig(
        image_size=128,
        latent_sizes=(4, 8, 16),
        hidden_units=8 if quick else 64,
        residual_units=8 if quick else 32,
        codebook_size=32 if quick else 128,
        codebook_dimension=8 if quick else 32,
        level_dropout=0.15,
        restart_after=5 if quick else 50,
        batch=4 if quick else 16,
        steps=12 if quick else 800,
        learning_rate=1.5e-3,
        decay_learning_rate=True,
        polyak_decay=0.98,
        augmentation="none",
    )
    top = PriorConfig(
        hidden_units=16 if quick else 64,
        residual_units=16 if quick else 128,
        layers=2 if quick else 6,
        attention_layers=1 if quick else 2,
        attention_heads=2 if quick else 4,
        dropout=0.2,
        output_stack_layers=0,
        batch=8 if quick else 32,
        steps=10 if quick else 500,
        warmup_steps=100,
        polyak_decay=0.99,
    )
    middle = dataclasses.replace(
        top,
        attention_layers=1,
        dropout=0.1,
        steps=10 if quick else 300,
        conditioning_blocks=2,
        conditioning_units=16 if quick else 64,
    )
    bottom = dataclasses.replace(middle, attention_layers=0, filter_size=3)
    name = "three-levels-quick" if quick else "three-levels"
    return Config(name, autoencoder, (top, middle, bottom)).check()


def open_run(options):
    """(the `Run` of these options, new or as far as it has come, {split: ImageSource})."""
    config = configuration(options.quick)
    sources = pipeline.open_splits(DATA, config.autoencoder)
    if options.quick:
        sources = {split: few(source) for split, source in sources.items()}
    folder = options.out / ("run-quick" if options.quick else "run")
    return pipeline.open_or_begin(folder, config, DATA, sources), sources


def few(source, count=48):
    """Some images of a source, spread over it, as a source of their own."""
    chosen = spread_indices(len(source), count)
    pixels = np.stack([source.read(index) for index in chosen])
    images = ArrayImages(pixels, labels=source.labels[chosen])
    images.class_names = source.class_names
    return images


def train(run, sources):
    """Both stages, as far as they are not done yet."""
    schedule = Schedule(validate_every=500)
    if not run.codes_folder.exists():
        pipeline.train_autoencoder(run, sources, resume=True, schedule=schedule)
        pipeline.extract_codes(run, sources)
    # Middle and bottom learn from the true coarser codes: the three could train at the same time.
    for level in run.config.levels:
        pipeline.train_prior(run, level, resume=True, schedule=schedule)


def print_figures(hierarchy, run, held_out):
    """What each level adds: PSNR by levels decoded, then nats per code and bits per image."""
    for subset, result in distortion(hierarchy, held_out).items():
        print(f"{' + '.join(subset):22} MSE {result.mse:.5f}   PSNR {result.psnr:.2f} dB")
    store = open_codes(run.codes_folder, hierarchy.identity)
    for level in hierarchy.levels:
        prior = hierarchy.priors[level]
        codes = [store.codes(split, level) for split in ("train", "held_out")]
        known = unigram_nats(*codes, prior.codebook_size)
        nats = evaluate_prior(prior, store, level, "held_out")
        bits = prior.size**2 * nats / math.log(2)
        print(f"{level:7}{nats:.3f} nats per code (frequencies: {known:.3f}), {bits:.0f} bits")


def save_variants(path, hierarchy, columns):
    """For each class in `VARIED` one top map, drawn once, and `columns` times what follows from it.

    In the second row of a class the middle map is kept, too: only the bottom is drawn anew.
    """
    rows, labels = [], []
    for name in VARIED:
        settings = {"label": name, "temperature": TEMPERATURE}
        first = hierarchy.sample_codes(1, seed=1, **settings)
        for kept in (("top",), ("top", "middle")):
            given = {level: first[level].repeat(columns, axis=0) for level in kept}
            images = hierarchy.sample(columns, seed=2, given=given, **settings)
            rows.append(images)
            labels.append(f"{name}: same {' + '.join(kept)}")
    save_image_grid(path, rows, row_labels=labels)


def main(options):
    """Train what is missing, print the figures, draw the pictures."""
    run, sources = open_run(options)
    train(run, sources)
    hierarchy = Hierarchy.load(run.folder)
    held_out = sources["held_out"]
    print_figures(hierarchy, run, held_out)
    shown = held_out.batch(spread_indices(len(held_out), 4 if options.quick else 10))
    columns = 2 if options.quick else 8
    save_reconstructions(run.folder / "reconstructions.png", hierarchy, shown)
    save_samples(run.folder / "samples.png", hierarchy, columns, temperature=TEMPERATURE)
    save_variants(run.folder / "variants.png", hierarchy, columns)
    for name in ("reconstructions", "samples", "variants"):
        print(f"picture: {run.folder / name}.png")


if __name__ == "__main__":
    main(lesson.options(__doc__))
