"""The demo: the whole hierarchy on real images, from nothing to new images, in minutes."""

import dataclasses
import math
import time
from pathlib import Path

import numpy as np

import backends
from vqv2 import pipeline
from vqv2.config import preset
from vqv2.data.codes import open_codes
from vqv2.errors import InputError
from vqv2.evaluation import code_usage, distortion, unigram_nats
from vqv2.hierarchy import Hierarchy
from vqv2.pictures import save_reconstructions, save_samples
from vqv2.report import Panel, Section, Table, format_table, save_curves, save_page
from vqv2.run import Run
from vqv2.training import Schedule
from vqv2.training.log import read_log
from vqv2.training.stage2 import evaluate_prior

DATA = "emoji:64"
SHOWN = 12  # held-out images in the reconstruction picture
PER_CLASS = 10
VALIDATIONS = 5  # while a stage is trained
COPIES = 2  # of the training images' codes, as there are few images; the second is augmented
TEMPERATURE = {"top": 0.9, "bottom": 0.7}
QUICK_STEPS = {"autoencoder": 60, "top": 40, "bottom": 30}


def configuration(quick):
    """The `demo` preset; `quick` is the same with so few steps that nothing is learned well."""
    config = preset("demo")
    if not quick:
        return config
    shorter = dataclasses.replace(config.autoencoder, steps=QUICK_STEPS["autoencoder"])
    config = dataclasses.replace(config, name="demo-quick", autoencoder=shorter)
    for level in config.levels:
        prior = dataclasses.replace(config.prior(level), steps=QUICK_STEPS[level])
        config = config.with_prior(level, prior)
    return config


def run_demo(folder, quick=False, seed=0):
    """Train, extract, train, sample and report in `folder`; a stopped demo goes on where it was.

    Leaves reconstructions.png, samples.png, curves.png and report.html. Raises `InputError` when
    the folder holds another run, and for what the stages raise it for.
    """
    started = time.monotonic()
    run = _open_run(Path(folder), configuration(quick))
    sources = pipeline.open_splits(DATA, run.config.autoencoder)
    run.class_names = sources["train"].class_names
    run.save()
    _announce(run, sources)
    for stage in ("autoencoder", *(f"prior-{level}" for level in run.config.levels)):
        _train_stage(run, stage, sources, seed)
    print("Sampling and writing the report")
    figures = _report(run, sources, seed, started)
    print(figures)
    print(f"\nKernels: {backends.compilation_summary()}")
    print(f"Open {run.folder / 'report.html'} ({_minutes(time.monotonic() - started)}).")


def _open_run(folder, config):
    if not (folder / "config.json").exists():
        return Run.new(folder, config, (), DATA)
    run = Run.open(folder)
    if run.config != config or run.data != DATA:
        raise InputError(f"{folder} holds another run: choose another folder with --out")
    print(f"Going on with what is in {folder}")
    return run


def _announce(run, sources):
    counts = ", ".join(f"{len(source)} {split}" for split, source in sources.items())
    sizes = ", ".join(
        f"{level} {size}x{size}"
        for level, size in zip(run.config.levels, run.config.autoencoder.latent_sizes, strict=True)
    )
    print(f"Images: {sources['train'].name}, {counts.replace('_', ' ')}; codes: {sizes}")
    print(f"Backend {backends.current()}; everything goes into {run.folder}")


def _train_stage(run, stage, sources, seed):
    """Train one stage as far as it is not done yet; extract codes when the autoencoder is new."""
    start, compiled = time.monotonic(), backends.compilation_seconds()
    resume = run.checkpoint_path(stage).exists()
    if stage == "autoencoder":
        schedule = _schedule(run.config.autoencoder)
        metrics = pipeline.train_autoencoder(run, sources, seed, resume, schedule)
        if metrics or not (run.codes_folder / "manifest.json").exists():
            pipeline.extract_codes(run, sources, copies=COPIES, seed=seed)
    else:
        level = stage.removeprefix("prior-")
        schedule = _schedule(run.config.prior(level))
        metrics = pipeline.train_prior(run, level, seed, resume, schedule)
    if metrics:
        compiling = backends.compilation_seconds() - compiled
        held_out = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        print(
            f"{stage}: {_minutes(time.monotonic() - start)}, of which {compiling:.0f} s compiling "
            f"kernels for the first time; held out: {held_out}"
        )


def _schedule(config):
    return Schedule(validate_every=max(1, config.steps // VALIDATIONS))


def _minutes(seconds):
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def _report(run, sources, seed, started):
    """Write pictures and page; the figures as text."""
    hierarchy = Hierarchy.load(run.folder)
    store = open_codes(run.codes_folder, hierarchy.identity)
    held_out = sources["held_out"]
    shown = held_out.batch(np.linspace(0, len(held_out) - 1, SHOWN).astype(int))
    pictures = {
        name: run.folder / f"{name}.png" for name in ("reconstructions", "samples", "curves")
    }
    save_reconstructions(pictures["reconstructions"], hierarchy, shown)
    save_samples(
        pictures["samples"], hierarchy, PER_CLASS, seed, progress=True, temperature=TEMPERATURE
    )
    tables = (
        _distortion_table(hierarchy, held_out),
        _usage_table(run, store),
        _prior_table(run, hierarchy, store),
    )
    save_curves(pictures["curves"], _panels(run, store))
    sections = _sections(run, tables, pictures, time.monotonic() - started)
    save_page(run.folder / "report.html", "VQ-VAE-2 on emoji", sections)
    return "\n\n".join(f"{t.caption}\n{format_table(t.columns, t.rows)}" for t in tables)


def _distortion_table(hierarchy, held_out):
    figures = distortion(hierarchy, held_out, count=len(held_out))
    rows = [[" + ".join(s), f"{d.mse:.5f}", f"{d.psnr:.2f}"] for s, d in figures.items()]
    caption = f"Reconstruction of {len(held_out)} held-out images, pixels in [0, 1]"
    return Table(["levels decoded", "MSE", "PSNR (dB)"], rows, caption)


def _usage_table(run, store):
    size = run.config.autoencoder.codebook_size
    rows = []
    for level in store.levels:
        perplexity, used = code_usage(store.codes("held_out", level), size)
        rows.append([level, f"{used} of {size}", f"{perplexity:.1f}"])
    return Table(["level", "codes used", "perplexity"], rows, "Codes of the held-out images")


def _prior_table(run, hierarchy, store):
    rows = []
    for level in store.levels:
        log_k, unigram = _baselines(run, store, level)
        prior = hierarchy.priors[level]
        nats = {s: evaluate_prior(prior, store, level, s) for s in ("held_out", "train")}
        count = prior.size**2
        rows.append(
            [
                level,
                f"{nats['held_out']:.3f}",
                f"{nats['train']:.3f}",
                f"{unigram:.3f}",
                f"{log_k:.3f}",
                f"{nats['held_out'] / math.log(2):.3f}",
                f"{nats['held_out'] * count / math.log(2):.0f}",
            ]
        )
    columns = ["level", "nats/code", "on training", "unigram", "log K", "bits/code", "bits/image"]
    return Table(columns, rows, "Priors on held-out codes, next to what knows less")


def _baselines(run, store, level):
    """(log K, nats per held-out code from code frequencies alone)."""
    size = run.config.autoencoder.codebook_size
    codes = [store.codes(split, level) for split in ("train", "held_out")]
    return math.log(size), unigram_nats(*codes, size)


def _panels(run, store):
    lines = read_log(run.stage_folder("autoencoder") / "log.jsonl")
    panels = [
        Panel(
            "Autoencoder",
            "step",
            "mean squared error",
            {
                "training": _series(lines, "train", "reconstruction"),
                "held out": _series(lines, "held_out", "reconstruction"),
            },
            logarithmic=True,
        ),
        Panel(
            "Codebooks",
            "step",
            "perplexity of a batch's codes",
            {n: _series(lines, "train", f"perplexity_{n}") for n in run.config.levels},
        ),
    ]
    for level in run.config.levels:
        lines = read_log(run.stage_folder(f"prior-{level}") / "log.jsonl")
        log_k, unigram = _baselines(run, store, level)
        panels.append(
            Panel(
                f"Prior, {level} level",
                "step",
                "nats per code",
                {
                    "training": _series(lines, "train", "loss"),
                    "held out": _series(lines, "held_out", "loss"),
                },
                {"log K": log_k, "unigram": unigram},
            )
        )
    return panels


def _series(lines, split, name):
    chosen = [line for line in lines if line["split"] == split and name in line]
    return [line["step"] for line in chosen], [line[name] for line in chosen]


def _sections(run, tables, pictures, seconds):
    levels = " and ".join(
        f"a {size} x {size} {level} map"
        for level, size in zip(run.config.levels, run.config.autoencoder.latent_sizes, strict=True)
    )
    temperatures = " and ".join(f"{t} ({level})" for level, t in TEMPERATURE.items())
    return [
        Section(
            "Samples",
            f"New images, one class in each row. Each was drawn as {levels} of codes by the "
            f"priors, at temperature {temperatures}, and decoded. None was picked by hand. "
            f"This run of the demo took {_minutes(seconds)}.",
            pictures=((pictures["samples"], "Samples by class"),),
        ),
        Section(
            "Reconstructions",
            "Held-out images through the autoencoder: what the top codes keep, what all codes "
            "keep, and the originals.",
            tables[0],
            ((pictures["reconstructions"], "Held-out images, decoded from their codes"),),
        ),
        Section(
            "Codes and priors",
            "A prior is as good as its nats per code are low. 'Unigram' knows how often each code "
            "occurs and nothing else; log K knows nothing at all.",
            tables[2],
        ),
        Section("Codebooks", "How many of the codes the held-out images use.", tables[1]),
        Section("Training", "", pictures=((pictures["curves"], "Loss and perplexity by step"),)),
    ]
