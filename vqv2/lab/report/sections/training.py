"""How training went: loss and perplexity by step, from the logs of a run."""

import math

from vqv2.lab.evaluation import unigram_nats
from vqv2.lab.report import Panel, Section, save_curves
from vqv2.run.log import read_log

PICTURE = "curves.png"


def measure(subject):
    """A picture; the last logged step of every stage."""
    run, store = subject.run, subject.store
    logs = {
        stage: read_log(run.stage_folder(stage) / "log.jsonl")
        for stage in ("autoencoder", *(f"prior-{level}" for level in run.config.levels))
    }
    panels = _autoencoder_panels(run, logs["autoencoder"]) if logs["autoencoder"] else []
    panels += [
        _prior_panel(run, store, level, logs[f"prior-{level}"])
        for level in run.config.levels
        if logs[f"prior-{level}"]
    ]
    if panels:
        save_curves(subject.folder / PICTURE, panels)
    return {"steps": {stage: lines[-1]["step"] for stage, lines in logs.items() if lines}}


def _autoencoder_panels(run, lines):
    return [
        Panel(
            "Autoencoder",
            "step",
            "mean squared error",
            _both(lines, "reconstruction"),
            logarithmic=True,
        ),
        Panel(
            "Codebooks",
            "step",
            "perplexity of a batch's codes",
            {n: _series(lines, "train", f"perplexity_{n}") for n in run.config.levels},
        ),
    ]


def _prior_panel(run, store, level, lines):
    size = run.config.autoencoder.codebook_size
    codes = [store.codes(split, level) for split in ("train", "held_out")]
    references = {"log K": math.log(size), "unigram": unigram_nats(*codes, size)}
    title = f"Prior, {level} level"
    return Panel(title, "step", "nats per code", _both(lines, "loss"), references)


def _both(lines, name):
    return {
        "training": _series(lines, "train", name),
        "held out": _series(lines, "held_out", name),
    }


def _series(lines, split, name):
    chosen = [line for line in lines if line["split"] == split and name in line]
    return [line["step"] for line in chosen], [line[name] for line in chosen]


def sections(figures, folder):
    """The picture, if the run has logs."""
    if not figures["steps"]:
        return [Section("Training", "This run has no logs of its training.")]
    stages = "; ".join(f"{stage}, {step} steps" for stage, step in figures["steps"].items())
    return [
        Section(
            "Training",
            f"Trained so far: {stages}. Training is measured with dropout, on the weights of that "
            "step; held-out codes and images without it, on the averaged weights.",
            pictures=((folder / PICTURE, "Loss and perplexity by step"),),
        )
    ]
