"""What state a run folder is in, also a damaged one, and what to do next."""

import dataclasses
import shutil
from pathlib import Path

from vqv2.config import ClassifierConfig
from vqv2.errors import InputError
from vqv2.run import Run, checkpoint, is_run, read_stage, rules, stage_config
from vqv2.run.codes import (
    extraction_settings,
    open_codes,
    partial_place,
    read_manifest,
    settings_of,
)
from vqv2.run.lock import is_locked
from vqv2.run.log import change_in_words, read_log
from vqv2.run.pretrained import called, locate

MARGIN = 1.1  # of the size of a checkpoint that should be free on the disk


@dataclasses.dataclass
class Diagnosis:
    """What there is to say about one part of a run: "autoencoder", "codes", "prior-LEVEL".

    state      a few words
    notes      sentences about it
    damaged    sentences about what is damaged
    command    what to do next, if anything
    """

    part: str
    state: str
    notes: list = dataclasses.field(default_factory=list)
    damaged: list = dataclasses.field(default_factory=list)
    command: str = ""


def diagnose(folder, quick=False):
    """[`Diagnosis`] of every part of a run, in the order of the stages, or of a classifier.

    Reads all checkpoints and codes to compare them with their checksums; with `quick` only what
    they say about themselves. Changes nothing. Where the configuration is damaged nothing else can
    be said. Raises `InputError` when the folder is no run.
    """
    try:
        run = Run.open(folder)
    except InputError as error:
        folder = locate(folder)
        if not is_run(folder) and (read_stage(folder) or {}).get("stage") == "classifier":
            command = f"vqv2 train classifier --out {folder} --resume"
            return [_stage(Path(folder), "classifier", ClassifierConfig, command, quick)]
        if not (Path(folder) / "autoencoder").is_dir():
            raise
        return [Diagnosis("configuration", "damaged", damaged=[str(error)])]
    autoencoder, *priors = [
        _stage(
            run.stage_folder(stage), stage, rules.config_type(stage), _command(run, stage), quick
        )
        for stage in run.stages
    ]
    _compare_with_run(run, autoencoder)
    codes = _codes(run, autoencoder, quick)
    for prior in priors:
        _compare_with_codes(run, prior, codes)
        _compare_with_run(run, prior)
    return [autoencoder, codes, *priors]


def _stage(folder, stage, kind, command, quick):
    diagnosis = Diagnosis(stage, "not begun", command=command)
    good = _checkpoints(folder, stage, kind, diagnosis, quick)
    running = is_locked(folder)
    begun = _begun(folder, kind, diagnosis)
    if good:
        config = begun or checkpoint.config_of(kind, *good[0])
        log = _log(folder, diagnosis)
        _progress(diagnosis, good, config.steps, log)
        if not running and (last := log[-1]["step"] if log else 0) > good[0][1]["step"]:
            diagnosis.notes.append(
                f"was ended at step {last} or later: what is missing is done again"
            )
    elif diagnosis.damaged:
        diagnosis.state = "damaged: no checkpoint is good"
        diagnosis.notes.append(f"restore one from a copy, or remove {folder} and train again")
        diagnosis.command = ""
    elif begun:
        diagnosis.state = "begun, but no checkpoint was written yet"
    if running:
        diagnosis.state, diagnosis.command = f"being trained now; {diagnosis.state}", ""
    _leftovers(folder, diagnosis, running)
    return diagnosis


def _command(run, stage):
    """What begins a stage, or goes on with it."""
    if stage == "autoencoder":
        return f"vqv2 train autoencoder --out {run.folder} --resume"
    level = stage.removeprefix("prior-")
    return f"vqv2 train prior {run.folder} --level {level} --resume"


def _checkpoints(folder, stage, kind, diagnosis, quick):
    """[(path, metadata)] of the good ones, newest first; the others are told to the diagnosis."""
    good = []
    for path in checkpoint.Checkpoints(folder).paths():
        try:
            read = checkpoint.read_metadata if quick else lambda path: checkpoint.load(path)[1]
            metadata = read(path)
        except InputError as error:
            diagnosis.damaged.append(str(error))
            continue
        try:
            checkpoint.check_stage(path, metadata, stage)
            checkpoint.config_of(kind, path, metadata)
            good.append((path, metadata))
        except InputError as error:  # --resume refuses it, too, and replaces nothing
            diagnosis.damaged.append(str(error))
            diagnosis.command = ""
    return good


def _begun(folder, kind, diagnosis):
    """The configuration in training.json; None where there is none that can be read."""
    try:
        record = read_stage(folder, diagnosis.part)
        return record and stage_config(kind, record, folder)
    except InputError as error:
        diagnosis.damaged.append(str(error))
        return None


def _log(folder, diagnosis):
    """The lines of the log; what is no file in its place is told to the diagnosis."""
    try:
        return read_log(folder / "log.jsonl")
    except InputError as error:
        diagnosis.damaged.append(str(error))
        return []


def _progress(diagnosis, good, steps, log):
    path, metadata = good[0]
    step, newest = metadata["step"], path.name == "checkpoint.safetensors"
    origin, compacted = metadata.get(rules.ORIGIN, {}), rules.COMPACTED in metadata
    imported = newest and step == 0 and "file" in origin
    done = newest and step >= steps or imported or compacted
    diagnosis.state = f"complete: {step} steps" if done else f"stopped at step {step} of {steps}"
    if imported:
        diagnosis.state = "complete: imported"
        diagnosis.notes.append(f"{diagnosis.command} trains it further, before codes are extracted")
    if compacted:
        diagnosis.state += ", kept as rounded weights alone (`vqv2 compact`)"
        run = called(path.parents[1])
        diagnosis.notes.append(f"is not trained further: `vqv2 train ... --from {run}` begins anew")
    if "run" in origin:
        diagnosis.notes.append(f"began with the weights of {origin['run']}, step {origin['step']}")
    if done:
        diagnosis.command = ""
    if not newest:
        diagnosis.notes.append(f"goes on from {path.name}, as what is newer is damaged or missing")
    kept = ", ".join(f"{path.name} (step {data['step']})" for path, data in good)
    diagnosis.notes.append(f"good checkpoints: {kept}")
    if best := metadata.get("best"):
        diagnosis.notes.append(f"lowest held-out loss {best['loss']:.4g}, at step {best['step']}")
    diagnosis.notes += [
        f"from step {line['step']} on {change_in_words(line['changed'])}"
        for line in log
        if "changed" in line
    ]
    diagnosis.notes += [
        f"step {line['step']}: {line['warning']}" for line in log if "warning" in line
    ][-3:]
    free, size = shutil.disk_usage(path.parent).free, path.stat().st_size
    if not done and free < MARGIN * size:
        diagnosis.notes.append(
            f"the disk has {_bytes(free)} free, a checkpoint takes {_bytes(size)}: make room"
        )


def _leftovers(folder, diagnosis, running):
    partial = list(folder.glob(".*.partial"))
    left = [path for one in partial for path in (one, *one.rglob("*")) if path.is_file()]
    if partial and not running:
        size = _bytes(sum(path.stat().st_size for path in left))
        diagnosis.notes.append(
            f"a killed process left {size} half written; the next one removes it"
        )


def _compare_with_run(run, diagnosis):
    """The newest checkpoint of a stage is one that may be used in this run."""
    path = run.checkpoint_path(diagnosis.part)
    if not path.exists() or diagnosis.damaged:
        return
    try:
        rules.check_checkpoint(run, diagnosis.part, path)
    except InputError as error:
        _of_another_configuration(diagnosis, error)


def _of_another_configuration(diagnosis, error):
    diagnosis.damaged.append(str(error))
    diagnosis.state = f"of another configuration; {diagnosis.state}"
    diagnosis.command = ""


def _codes(run, autoencoder, quick):
    folder = run.codes_folder
    diagnosis = Diagnosis("codes", "not extracted", command=f"vqv2 encode {run.folder}")
    if partial_place(folder).exists():
        running = is_locked(run.folder)
        diagnosis.state = "being extracted now" if running else "half extracted"
        diagnosis.command += _options(settings_of(partial_place(folder)))
        diagnosis.command = "" if running else diagnosis.command
    if not folder.exists():
        if not autoencoder.state.startswith("complete"):
            diagnosis.command = ""  # the autoencoder comes first
        if _is_compact(run):
            diagnosis.state, diagnosis.command = "left out: the priors have learned them", ""
        return diagnosis
    diagnosis.state, diagnosis.command = "there, not read (--quick)", ""
    if quick:
        return diagnosis
    try:
        store = open_codes(folder, everything=True)
    except InputError as error:
        diagnosis.state, diagnosis.damaged = "damaged", [str(error)]
        diagnosis.command = f"vqv2 encode {run.folder}" + _options(settings_of(folder))
        return diagnosis
    counts = ", ".join(f"{count} {split}" for split, count in store.counts.items())
    diagnosis.state = f"complete: {counts} images".replace("_", " ")
    try:
        rules.check_codes(run, store)
    except InputError as error:
        diagnosis.damaged.append(str(error))
    if autoencoder.state.startswith("complete") and not _are_of(store, run):
        diagnosis.state = "of another autoencoder than the one that is in this run now"
        diagnosis.command = f"vqv2 encode {run.folder}" + _options(settings_of(folder))
    return diagnosis


def _options(settings):
    """Arguments of `vqv2 encode` that make the codes of these settings."""
    others = settings.items() - extraction_settings(copies=1, seed=0).items()
    return "".join(f" --{name} {value}" for name, value in sorted(others))


def _is_compact(run):
    return rules.COMPACTED in (run.checkpoints("autoencoder").metadata() or {})


def _are_of(store, run):
    return store.identity == run.autoencoder_identity()


def _compare_with_codes(run, prior, codes):
    """A prior comes after the codes, and is one of these codes."""
    if not codes.state.startswith(("complete", "there")):
        prior.command = ""
        return
    path = run.checkpoint_path(prior.part)
    if codes.state.startswith("complete") and path.exists() and not prior.damaged:
        learned = checkpoint.read_metadata(path)
        of_these = rules.has_learned(learned, read_manifest(run.codes_folder))
        if not of_these and rules.COMPACTED not in learned:
            prior.state = "of other codes than those that are in this run now"
            prior.notes.append(f"remove {path.parent} and train it again, or restore the codes")
            prior.command = ""


def _bytes(count):
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
