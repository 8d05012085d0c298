"""What the parts of a run say of each other is the same, or they are not used together.

config.json says what the stages have in common. It can be edited, copied and restored, while every
checkpoint and the codes have sealed with them what they were made with. Whoever uses a part that an
earlier stage has left compares the two here: training, extraction, sampling, evaluation, and
`vqv2 doctor`.

in config.json                            compared with what was written by
sizes of images, maps and codebook        the autoencoder; the codes
class names, in order, of a run with any  the autoencoder; the codes; the priors

That codes are of this autoencoder, and priors of these codes, their checksums tell
(`vqv2.run.codes`, `vqv2.run`, `vqv2.training.state`).
"""

import itertools

from vqv2.errors import InputError

# What codes, priors and the images of all of them are made by: fields of the autoencoder.
OF_LATER_STAGES = ("image_size", "channels", "latent_sizes", "codebook_size")
ORIGIN = "from"  # where the weights came from that a training has begun with (vqv2.training.start)
CLASSES = "class_names"  # in config.json, manifests and the metadata of checkpoints


def check_autoencoder(run, path, metadata, config):
    """Raise `InputError` unless config.json says what the autoencoder's checkpoint at `path` does.

    `config` is the `AutoencoderConfig` in its `metadata`.
    """
    for name in OF_LATER_STAGES:
        found, said = getattr(config, name), getattr(run.config.autoencoder, name)
        if found != said:
            raise InputError(
                f"{path} was trained with {name} {found}, but {run.config_path} says {said}: "
                "change it back there, or restore the file"
            )
    if run.config.conditional:
        _check_classes(run, f"the images that {path} has learned", metadata.get(CLASSES))


def check_codes(run, store):
    """Raise `InputError` unless config.json says what an opened `CodeStore` does."""
    config, sizes = run.config.autoencoder, tuple(store.manifest["sizes"])
    if (store.levels, sizes) != (config.levels, config.latent_sizes):
        raise InputError(
            f"{store.folder} holds maps of the sizes {sizes} ({', '.join(store.levels)}), but "
            f"{run.config_path} says {config.latent_sizes}: extract the codes again"
        )
    if run.config.conditional:
        _check_classes(run, f"the images in {store.folder}", store.class_names)


def check_prior(run, path, metadata):
    """Raise `InputError` unless config.json says what a prior's checkpoint at `path` does."""
    _check_classes(run, f"the codes that {path} has learned", metadata.get(CLASSES))


def check_distinct(path, names):
    """Raise `InputError` for a class name that is there twice: which of the two is meant?"""
    numbers = {}
    for number, name in enumerate(names):
        if (first := numbers.setdefault(name, number)) != number:
            raise InputError(
                f"{path} has two classes {name!r}, {first} and {number}: change class_names back "
                "there, or restore the file"
            )


def _check_classes(run, subject, found):
    """The first class that `subject` and config.json do not have in common is an `InputError`."""
    said = run.class_names if run.config.conditional else ()
    for number, pair in enumerate(itertools.zip_longest(found or (), said)):
        if pair[0] != pair[1]:
            found, said = (repr(name) if name is not None else "missing" for name in pair)
            raise InputError(
                f"class {number} of {subject} is {found}, but in {run.config_path} it is {said}: "
                "change class_names and conditional back there, or restore the file"
            )
