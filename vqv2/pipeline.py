"""The stages on a run folder, in the order of Algorithms 1 and 2; commands and demo call these."""

import contextlib
import dataclasses
from pathlib import Path

from backends.process.communication import Single
from vqv2.agreement import check_agreement
from vqv2.config import AUTO
from vqv2.data import images
from vqv2.errors import InputError
from vqv2.run import Run, is_run, rules
from vqv2.run.codes import extraction_settings, open_codes
from vqv2.run.lock import locked
from vqv2.training import AutoencoderTask, PriorTask, encode_dataset, train
from vqv2.training.start import OF_AUTOENCODER, OF_PRIOR, start_of, take_over


def open_splits(data, autoencoder, workers=None):
    """{"train", "held_out": ImageSource} of `data`, of the autoencoder configuration's size.

    `workers` processes read a folder's images (`vqv2.data.images.open_images`).
    """
    return images.open_splits(data, autoencoder.image_size, autoencoder.channels, workers)


def open_or_begin(folder, config, data, sources):
    """The `Run` in `folder`, to go on with, or a new one there: config.json is written either way.

    `data` is what the user calls the images {split: ImageSource}; in a run that is there it may be
    another path of the same ones. Raises `InputError`, and changes nothing, when that run has
    another configuration or its autoencoder has learned from other images. Stages that have begun
    keep the precision that "auto" was for them.
    """
    begun = Run.open(Path(folder)).config if is_run(folder) else None
    config = _in_begun_precision(config, begun) if begun else config
    run = Run(folder, config, sources["train"].class_names, images.absolute_data(data))
    if begun:
        if begun != config:
            raise InputError(f"{folder} holds another run, with other settings: {_ELSEWHERE}")
        learned = run.checkpoints("autoencoder").metadata()
        if learned and not rules.is_same_data(learned, sources["train"]):
            raise InputError(f"{folder} holds another run, of {learned['data']}: {_ELSEWHERE}")
    run.save()
    return run


def _in_begun_precision(config, begun):
    """`config` with every precision that it leaves open as the configuration `begun` has it."""
    if config.levels != begun.levels:
        return config
    former = (begun.autoencoder, *begun.priors)
    autoencoder, *priors = (
        dataclasses.replace(stage, precision=other.precision) if stage.precision == AUTO else stage
        for stage, other in zip((config.autoencoder, *config.priors), former, strict=True)
    )
    return dataclasses.replace(config, autoencoder=autoencoder, priors=tuple(priors))


_ELSEWHERE = "choose another folder for this one"


def start_from(run, stage, folder):
    """The `Start` of a stage of `run` from the same stage of the run in `folder`.

    None where it has begun like that already. Raises `InputError` when it has begun otherwise, and
    when there is nothing in `folder` to begin from.
    """
    return None if rules.is_begun_from(run.stage_folder(stage), folder) else start_of(folder, stage)


def train_autoencoder(
    run,
    sources,
    seed=0,
    resume=False,
    schedule=None,
    on_start=lambda: None,
    adjust=False,
    communicator=None,
    start=None,
):
    """Stage 1 on {split: ImageSource}: fills RUN/autoencoder; the last held-out metrics.

    `on_start` is called when everything has been found in order. With `adjust` the learning rate
    and the like may be others than they were (`vqv2.training.train`). The processes of a
    `communicator` share the batches. A `Start` gives the weights to begin with (`start_from`).
    """
    model = run.new_autoencoder(seed)
    if start:
        take_over(start, model, OF_AUTOENCODER)
    task = AutoencoderTask(model, sources["train"], sources["held_out"], seed, communicator)
    task.metadata |= {rules.ORIGIN: start.origin} if start else {}
    return train(task, run.stage_folder(task.stage), seed, resume, schedule, on_start, adjust)


def extract_codes(
    run,
    sources,
    progress=True,
    copies=1,
    seed=0,
    communicator=None,
    resume=False,
    batch=None,
):
    """Codes of all images by the averaged encoder: fills RUN/codes; the opened store.

    With `resume` nothing is done where these codes are there already. `copies`, `seed`, `batch`
    and `communicator`: see `vqv2.training.encode_dataset`. Raises `InputError` when the data has
    other classes than the run was made for, while another process extracts, while the autoencoder
    or a prior is being trained, and when other codes would replace those that a prior has learned.
    """
    writes = communicator is None or communicator.rank == 0
    if writes:
        rules.check_autoencoder_rests(run)
    model, identity = run.load_autoencoder()
    rules.check_data_classes(run, sources)
    store = _extracted(run, identity, sources, copies, seed)
    check_agreement(communicator or Single(), lambda: {"codes that are there": bool(store)})
    if resume and store:
        return store
    if writes:
        rules.check_extract(run, identity, replaced=not store)
    settings = {"copies": copies, "seed": seed, "progress": progress, "batch": batch}
    with locked(run.folder) if writes else contextlib.nullcontext():
        encode_dataset(
            model, identity, sources, run.codes_folder, **settings, communicator=communicator
        )
    return run.open_codes(identity)


def _extracted(run, identity, sources, copies, seed):
    """The store of these codes, or None where there is another or none."""
    try:
        store = open_codes(run.codes_folder, identity)
    except InputError:
        return None
    source, settings = sources["train"], extraction_settings(copies, seed)
    made_from = store.manifest["settings"], store.manifest["source_identity"]
    same = made_from == (settings, source.identity)
    return store if same and store.counts["train"] == copies * len(source) else None


def train_prior(
    run,
    level,
    seed=0,
    resume=False,
    schedule=None,
    adjust=False,
    communicator=None,
    start=None,
):
    """Stage 2 for one level, from RUN/codes: fills RUN/prior-LEVEL; the last held-out metrics.

    `adjust` is as in `train_autoencoder`, and so is `start`, but for what that prior has learned of
    classes where they are others. The processes of a `communicator` share the batches. Raises
    `InputError` when the codes are missing or another autoencoder's, or when the classes are others
    than they were.
    """
    model = run.new_prior(level, seed)
    store = run.open_codes(run.autoencoder_identity(), everything=True)
    if start:
        take_over(start, model, OF_PRIOR, run.class_names)
    task = PriorTask(model, level, store, seed, communicator)
    task.metadata |= {rules.ORIGIN: start.origin} if start else {}
    checkpoints = run.checkpoints(task.stage)
    if learned := checkpoints.metadata():
        rules.check_classes(run, task.stage, checkpoints.newest, learned)
    return train(task, checkpoints.folder, seed, resume, schedule, adjust=adjust)
