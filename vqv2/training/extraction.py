"""Extracting the codes of a data set once, for the priors (Algorithm 2, lines 1-7)."""

import contextlib
import functools

import numpy as np

from backends.process.communication import Single
from vqv2.agreement import check_agreement, images_facts
from vqv2.data.augment import NONE
from vqv2.data.augment import PRESETS as AUGMENTATIONS
from vqv2.data.readers import prefetched
from vqv2.errors import InputError
from vqv2.run.code_writing import write_codes
from vqv2.run.codes import extraction_settings
from vqv2.terminal import progress_bar
from vqv2.training.draws import copy_generator

_MOST_COPIES = 10_000


def encode_dataset(
    model,
    identity,
    sources,
    folder,
    batch=None,
    copies=1,
    seed=0,
    progress=True,
    communicator=None,
):
    """Write the codes of {split: ImageSource} to a store in `folder`.

    `model` has the averaged weights, `identity` names it in the manifest. The training images are
    encoded `copies` times: once as they are, then with the augmentation that the autoencoder was
    trained with, drawn from `seed`. A prior for few images over-fits less on these codes.
    The processes of a `communicator` encode `batch` images each at a time, by default those of
    `AutoencoderConfig.images_at_once`; the first one writes.
    Codes that an extraction left which was ended, however it ended, are not computed again.
    Raises `InputError` when it cannot be written, when encoder outputs are not finite, for copies
    without an augmentation, for a batch of none, and when the processes do not all have the same
    autoencoder, images and settings.
    """
    communicator = communicator or Single()
    batch = model.config.images_at_once(communicator.size) if batch is None else batch
    if batch < 1:
        raise InputError(f"batch {batch} must be at least 1")
    writes = communicator.rank == 0
    sources = {split: source for split, source in sources.items() if len(source)}
    check_agreement(
        communicator,
        lambda: {
            "autoencoder": identity,
            "batch": batch,
            **extraction_settings(copies, seed),
            **images_facts(sources),
        },
    )
    config, first = model.config, next(iter(sources.values()))
    _check_copies(copies, config.augmentation)
    if copies > 1:
        sources["train"].check_augmentation(AUGMENTATIONS[config.augmentation])
    repeats = {split: copies if split == "train" else 1 for split in sources}
    counts = {split: repeats[split] * len(source) for split, source in sources.items()}
    names, total = first.class_names, sum(counts.values())
    store = write_codes(
        folder,
        config.levels,
        config.latent_sizes,
        counts,
        names,
        identity,
        first.name,
        extraction_settings(copies, seed),
        first.identity,
        {
            split: np.tile(source.labels, repeats[split])
            for split, source in sources.items()
            if source.labels is not None
        },
        _rows(sources, repeats),
    )
    with (
        store if writes else contextlib.nullcontext() as writer,
        progress_bar(total, "codes", "image", progress and writes) as bar,
    ):
        for split, source in sources.items():
            starts = range(0, len(source), batch)
            parts = [
                (copy, start, min(start + batch, len(source)))
                for copy in range(repeats[split])
                for start in starts
            ]
            written = communicator.broadcast(np.array(writer.written(split) if writes else 0))
            left = [part for part in parts if _place(part, len(source)).stop > written]
            bar.update(counts[split] - sum(stop - start for _, start, stop in left))
            encoded = _encoded(model, source, batch, left, seed, communicator)
            with contextlib.closing(encoded):
                for part, codes in encoded:
                    if writes:
                        writer.write(split, _place(part, len(source)).start, codes)
                    bar.update(part[2] - part[1])
    communicator.barrier()  # the store is there before anyone opens it


def _rows(sources, repeats):
    """Yield what the store's index says of each row."""
    for split, source in sources.items():
        for row in range(repeats[split] * len(source)):
            copy, place = divmod(row, len(source))
            yield {"split": split, "row": row, "copy": copy, "image": source.image_name(place)}


def _place(part, length):
    """Where the codes of a (copy, start, stop) of `length` images are."""
    copy, start, stop = part
    return slice(copy * length + start, copy * length + stop)


def _check_copies(copies, augmentation):
    if not 1 <= copies <= _MOST_COPIES:
        raise InputError(f"copies {copies} must be from 1 to {_MOST_COPIES}")
    if copies > 1 and augmentation == "none":
        raise InputError(
            f"{copies} copies would all be the same: this autoencoder was trained without "
            "augmentation; leave out --copies, or train one with --set augmentation=imagenet"
        )


def _encoded(model, source, batch, parts, seed, communicator):
    """Yield ((copy, start, stop), {level: codes}) of all parts; the processes take turns."""
    read = functools.partial(_read, source, AUGMENTATIONS[model.config.augmentation], seed)
    own_parts = parts[communicator.rank :: communicator.size]
    with contextlib.closing(prefetched(read, own_parts)) as batches:
        for turn in range(0, len(parts), communicator.size):
            together = parts[turn : turn + communicator.size]
            own = {}
            if communicator.rank < len(together):
                own = _encode(model, next(batches), source, together[communicator.rank])
            codes = _gather(own, together, batch, model.config, communicator)
            yield from zip(together, codes, strict=True)


def _encode(model, images, source, part):
    """{level: codes} of the images of a part."""
    try:
        return model.encode(images)
    except InputError as error:
        _, start, stop = part
        raise InputError(f"images {start} to {stop - 1} of {source.name}: {error}") from None


def _read(source, augmentation, seed, part):
    """The images of a part: as they are for copy 0, otherwise augmented."""
    copy, start, stop = part
    rng = copy_generator(seed, copy, start)
    return source.batch(np.arange(start, stop), augmentation if copy else NONE, rng)


def _gather(own, parts, batch, config, communicator):
    """[{level: codes}] of the parts, of which each process has encoded one at most, its `own`."""
    if communicator.size == 1:
        return [own]
    encoded = [{} for _ in parts]
    for level, size in zip(config.levels, config.latent_sizes, strict=True):
        padded = np.zeros((batch, size, size), np.uint16)
        if own:
            padded[: len(own[level])] = own[level]
        gathered = communicator.all_gather(padded)[: len(parts)]
        for found, (_, start, stop), codes in zip(encoded, parts, gathered, strict=True):
            found[level] = codes[: stop - start]
    return encoded
