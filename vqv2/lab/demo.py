"""The demo: the whole hierarchy on real images, from nothing to new images, in minutes."""

import dataclasses
import time

import backends
from vqv2 import pipeline
from vqv2.hierarchy import Hierarchy
from vqv2.lab.report import Section, save_page
from vqv2.lab.report.curves import require_matplotlib
from vqv2.lab.report.sections import EVALUATIONS
from vqv2.lab.report.sections.results import as_text
from vqv2.lab.report.sections.subject import Options, Subject
from vqv2.pictures import save_samples
from vqv2.presets import preset
from vqv2.run import is_run, pretrained
from vqv2.run.codes import open_codes
from vqv2.training import Schedule

DATA = "emoji:64"
SHOWN = 12  # held-out images in the reconstruction picture
PER_CLASS = 10
VALIDATIONS = 5  # while a stage is trained
COPIES = 2  # of the training images' codes, as there are few images; the second is augmented
TEMPERATURE = {"top": 0.8, "bottom": 0.6}
FIGURES = 1024  # images of each split that figures are computed from
EVALUATIONS_SHOWN = ("samples", "reconstructions", "rate-distortion", "usage", "training")
LONGER = "emoji"  # the hierarchy that was trained for longer, where it comes with vqv2
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

    Leaves samples.png, reconstructions.png, curves.png, more pictures and report.html. Raises
    `InputError` when the folder holds another run, and for what the stages raise it for.
    """
    require_matplotlib()  # before minutes of training, not after
    started = time.monotonic()
    config, there = configuration(quick), is_run(folder)
    sources = pipeline.open_splits(DATA, config.autoencoder)
    run = pipeline.open_or_begin(folder, config, DATA, sources)
    if there:
        print(f"Going on with what is in {folder}")
    _announce(run, sources)
    for stage in ("autoencoder", *(f"prior-{level}" for level in run.config.levels)):
        _train_stage(run, stage, sources, seed)
    print("Sampling and writing the report")
    figures = _report(run, sources, seed, started)
    print(figures)
    print(f"\nKernels: {backends.compilation_summary()}")
    print(f"Open {run.folder / 'report.html'} ({_minutes(time.monotonic() - started)}).")
    print(f"To see how an image is drawn, code by code: vqv2 play {run.folder}")


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
    if stage == "autoencoder":
        schedule = _schedule(run.config.autoencoder)
        metrics = pipeline.train_autoencoder(run, sources, seed, True, schedule)
        if metrics or not (run.codes_folder / "manifest.json").exists():
            pipeline.extract_codes(run, sources, copies=COPIES, seed=seed)
    else:
        level = stage.removeprefix("prior-")
        schedule = _schedule(run.config.prior(level))
        metrics = pipeline.train_prior(run, level, seed, True, schedule)
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
    options = Options(
        images=FIGURES,
        shown=SHOWN,
        per_class=PER_CLASS,
        temperatures=(TEMPERATURE,),
        seed=seed,
    )
    subject = Subject(run, hierarchy, sources, store, run.folder, options)
    sections = []
    for name in EVALUATIONS_SHOWN:
        evaluation = EVALUATIONS[name]
        sections += evaluation.sections(evaluation.measure(subject), run.folder)
        sections += samples_of_longer(subject) if name == "samples" else []
    took = f"It took {_minutes(time.monotonic() - started)}, from the images to this page."
    save_page(
        run.folder / "report.html", "VQ-VAE-2 on emoji", [*sections, Section("This demo", took)]
    )
    return as_text(sections)


def samples_of_longer(subject):
    """[the section] with what `LONGER` draws, to stand beside the demo's own samples."""
    if LONGER not in pretrained.names():
        return []
    hierarchy, path = Hierarchy.load(pretrained.FOLDER / LONGER), subject.folder / "longer.png"
    own, seed = subject.shown_classes(), subject.options.seed
    classes = [name for name in own if name in hierarchy.class_names]
    temperature = {level: TEMPERATURE.get(level, 1.0) for level in hierarchy.levels}
    save_samples(path, hierarchy, PER_CLASS, seed, True, classes, temperature=temperature)
    text = (
        f"The same classes, seed and temperatures with {LONGER}, a hierarchy that comes with vqv2 "
        f"and was trained for longer: `vqv2 pretrained {LONGER}` says on what, and how. None was "
        "picked by hand."
    )
    return [Section("After longer training", text, pictures=((path, f"Samples of {LONGER}"),))]
