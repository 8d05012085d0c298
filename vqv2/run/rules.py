"""Who may begin, resume, replace or use what in a run: every rule, once.

Each part of a run is made from the one before it, and is known to the next by a digest:

part            made from                               known by
autoencoder     images                                  the digest of its weights in use
codes           the autoencoder, images, copies, seed   the checksum in their manifest
prior-LEVEL     the codes                               the digest of its weights in use

From that the rules follow:

begin           not over checkpoints that are there, and not in a run that `check_none`,
                comes with vqv2; --from the run that it has begun from,    `check_own`,
                if it has                                                  `is_begun_from`
train, extract  not while the part before or after it is being written     `check_train`,
                not where the part after it would become useless           `check_extract`
resume          the same stage, seed, data and configuration, except for   `check_resumes`
                what `FREE` and `ADJUSTABLE` name; not a compact run
use             what a checkpoint or the codes were made from is what is   `check_checkpoint`,
                in the run now: sizes, class names, digests                `check_codes`

config.json and training.json can be edited, copied and restored, while checkpoints and codes have
sealed with them what they were made with. `vqv2 doctor` asks the same functions.
"""

import dataclasses
import itertools
import json

from vqv2.config import AutoencoderConfig, PriorConfig
from vqv2.errors import DamagedError, InputError
from vqv2.run import checkpoint
from vqv2.run.codes import open_codes
from vqv2.run.lock import check_unlocked
from vqv2.run.pretrained import called, check_own, locate, name_of

# What metadata of checkpoints, and manifests, call what they were made from.
CLASSES = "class_names"
NAME, IDENTITY = "data", "data_identity"  # what images are called, and what tells them from others
PLACE = "path"  # neither does it matter under which path a data set is found now
ORIGIN = "from"  # where the weights came from that a training has begun with (vqv2.training.start)
AUTOENCODER, CODES = "autoencoder", "codes"  # digests: what tells a prior's codes from others
LEARNED = "learned"  # numbers of the classes that these codes have images of
COMPACTED = "compacted"  # the digest of the weights that `vqv2.run.compact` has rounded

# Fields that may be others when a training continues. These do not change what a step computes, but
# for what `vqv2.training.step` says of accumulating, and `changes` of steps.
FREE = ("steps", "recompute", "accumulate", "log_gradient_norm")
# These decide how the steps that follow go on from what has been learned, and weights, averages and
# moments fit as they are. A change has to be asked for (`adjust`), and stands in the log. What is
# in neither list says what the model is, which images a step sees, or what the loss is: that would
# be another training.
ADJUSTABLE = (
    "learning_rate",
    "decay_learning_rate",
    "learning_rate_scale",
    "warmup_steps",
    "decay_exponent",
    "gradient_clipping",
    "polyak_decay",
    "dropout",
    "level_dropout",
    "restart_after",
    "precision",
)
# What codes, priors and the images of all of them are made by: fields of the autoencoder.
OF_LATER_STAGES = ("image_size", "channels", "latent_sizes", "codebook_size")


def config_type(stage):
    """The dataclass of a stage's configuration."""
    return AutoencoderConfig if stage == AUTOENCODER else PriorConfig


def check_none(checkpoints):
    """Raise `InputError` where there is a checkpoint, the newest or another, to be lost."""
    for path in checkpoints.paths()[:1]:
        _check_trainable(path, checkpoints.metadata() or {})
        raise InputError(f"{path} exists: continue it with --resume, or choose another folder")


def _check_trainable(path, metadata):
    """Raise `InputError` for the checkpoint of a compact run: training needs more than weights."""
    if COMPACTED not in metadata:
        return
    run, stage = called(path.parents[1]), metadata["stage"]
    prior = f"prior NEW --level {stage.removeprefix('prior-')}"
    what = "autoencoder --data DATA --out NEW" if stage == AUTOENCODER else prior
    raise InputError(
        f"{path} holds rounded weights alone, which cannot be trained further: begin a training of "
        f"your own with them, `vqv2 train {what} --from {run}`"
    )


def is_begun_from(folder, origin):
    """Whether the stage in `folder` has begun, with the weights of the run `origin`.

    Raises `InputError` when it has begun otherwise.
    """
    learned = checkpoint.Checkpoints(folder).metadata()
    if learned and learned.get(ORIGIN, {}).get("run") != place(origin):
        raise InputError(f"{folder} was not begun from {origin}: leave out --from to go on with it")
    return bool(learned)


def place(run):
    """What a run, given by its folder or by a name, is called as an origin.

    The path of its folder; or its name, where it comes with vqv2: other machines have it elsewhere.
    """
    folder = locate(run)
    return name_of(folder) or str(folder.resolve())


def check_train(run, stage, resume):
    """Raise `InputError` where training a stage of a `Run` would replace or spoil something.

    Nothing is trained in what comes with vqv2, or while codes are being extracted. An autoencoder
    may not be trained further once there are some: these, and priors trained on them, would be
    another autoencoder's.
    """
    check_own(run.folder)
    if not resume:
        check_none(run.checkpoints(stage))
    elif newest := run.checkpoints(stage).metadata():
        _check_trainable(run.checkpoint_path(stage), newest)
    if stage == AUTOENCODER and _has_all_its_steps(run):
        return
    check_unlocked(run.folder, f"codes are being extracted in {run.folder} now")
    if stage == AUTOENCODER and run.codes_folder.exists():
        raise InputError(
            f"{run.codes_folder} holds codes of this autoencoder, which training it further would "
            "make useless: copy the run, or delete its codes and priors first"
        )


def _has_all_its_steps(run):
    """Whether resuming does nothing, or only does again what the damaged newest checkpoint held."""
    path = run.checkpoint_path(AUTOENCODER)
    if not path.exists():
        return False
    try:
        return checkpoint.read_metadata(path).get("step", 0) >= run.config.autoencoder.steps
    except DamagedError:
        return True


def check_autoencoder_rests(run):
    """Raise `InputError` while the autoencoder of a `Run` is being trained."""
    folder = run.stage_folder(AUTOENCODER)
    check_unlocked(folder, f"the autoencoder in {folder} is being trained now")


def check_extract(run, identity, replaced):
    """Raise `InputError` while a prior is being trained, or where it would lose its codes.

    `replaced`: the codes to be written are not those that are there. A prior cannot go on without
    the codes that it has learned from. Where these are damaged, or of another autoencoder than that
    of this `identity`, there is nothing to lose.
    """
    check_own(run.folder)
    priors = [stage for stage in run.stages if stage != AUTOENCODER]
    for folder in map(run.stage_folder, priors):
        check_unlocked(folder, f"the prior in {folder} is being trained on codes of this run now")
    if not replaced:
        return
    try:
        store = open_codes(run.codes_folder, identity)
    except InputError:
        return
    for stage in priors:
        learned = run.checkpoints(stage).metadata()
        if learned and has_learned(learned, store):
            raise InputError(
                f"{run.stage_folder(stage)} has learned the codes that are in {run.codes_folder}, "
                "and could not go on with others: give the data, copies and seed of these, copy "
                "the run, or remove this prior first"
            )


def has_learned(metadata, store):
    """Whether a prior with this metadata has learned the codes in a `CodeStore`, and no others."""
    return metadata.get(CODES) == store.checksum


def check_data_classes(run, sources):
    """Raise `InputError` when {split: ImageSource} has other classes than the run was made for."""
    for source in sources.values() if run.config.conditional else ():
        names = source.class_names
        if names != run.class_names:
            raise InputError(
                f"the data has the classes {', '.join(names) or '(none)'}, but the run was made "
                f"for {', '.join(run.class_names) or '(none)'}"
            )


def check_resumes(path, metadata, config, wanted, adjust=False):
    """Raise `InputError` unless the checkpoint at `path`, with this metadata, can be gone on with.

    `config` is the stage's configuration now, `wanted` {name: value} has its "stage", "seed", and
    what it learns from now. With `adjust`, or before the first step, what `changes` names may be
    different.
    """
    checkpoint.check_stage(path, metadata, wanted["stage"])
    _check_trainable(path, metadata)
    former = checkpoint.config_of(type(config), path, metadata)
    for name in wanted:
        if name in (NAME, PLACE, LEARNED) or metadata.get(name) == wanted[name]:
            continue
        if name in _OF_DATA and IDENTITY in wanted:
            raise InputError(f"{path} cannot be continued: {_other_data(path, metadata, wanted)}")
        if name == CODES:
            raise InputError(
                f"{path} cannot be continued: it has learned other codes than those that are in "
                f"this run now: restore those, or remove {path.parent} and train it again"
            )
        _refuse(path, name, metadata.get(name), wanted[name])
    unasked = {} if adjust or metadata["step"] == 0 else changes(former, config)
    for name, (was, now) in {**fixed_fields(former, config), **unasked}.items():
        _refuse(path, name, was, now)


def _refuse(path, name, was, now):
    raise InputError(f"{path} cannot be continued: its {name} is {was!r}, not {now!r}")


def fixed_fields(former, config):
    """{field: (former value, value now)} of what differs and may not when a training continues."""
    names = [field.name for field in dataclasses.fields(former)]
    return _different(former, config, [n for n in names if n not in (*FREE, *ADJUSTABLE)])


def changes(former, config):
    """{field: (former value, value now)} of what changes the steps that follow.

    Where the rate falls along a cosine its length is such a field: with other `steps` every step
    has another rate, and one that had come to its end would leap up again.
    """
    names = [*ADJUSTABLE, *(["steps"] if getattr(config, "decay_learning_rate", False) else [])]
    return _different(former, config, names)


def _different(former, config, names):
    pairs = {name: (getattr(former, name, None), getattr(config, name, None)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


_OF_DATA = ("images", CLASSES, IDENTITY)


def _other_data(path, metadata, wanted):
    """What about the images is different from what a checkpoint at `path` says, and what to do."""
    before, now = metadata[NAME], wanted[NAME]
    if metadata["images"] != wanted["images"]:
        difference = (
            f"it has learned from {metadata['images']} images of {before}, but in {now} there are "
            f"{wanted['images']} to train on now"
        )
    else:
        what = "classes" if metadata[CLASSES] != wanted[CLASSES] else "images"
        difference = f"{before}, which it has learned from, had other {what} than {now} has now"
    remedy = "restore these, or train a new one"
    if metadata["stage"] == AUTOENCODER:
        remedy += f" that begins with its weights: `vqv2 train autoencoder --from {path.parents[1]}"
        remedy += " --data DATA --out NEW`"
    return f"{difference}: {remedy}"


def described(images):
    """What a checkpoint says about the images, an `ImageSource`, that were learned from."""
    return {
        NAME: images.name,
        "images": len(images),
        CLASSES: list(images.class_names),
        IDENTITY: images.identity,
    }


def is_same_data(metadata, images):
    """Whether a checkpoint with this metadata has learned from `images`, by any name."""
    now = described(images)
    return all(metadata.get(name) == now[name] for name in _OF_DATA)


def as_json(config):
    """A configuration as what it will be when read back from JSON."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def check_checkpoint(run, stage, path, autoencoder=None):
    """The configuration in the checkpoint at `path`, of a stage of `run`, which may be used there.

    Reads its header only. Raises `InputError` when it is of another stage, or was trained with
    other sizes or classes than the run has now, or, where that is given, on the codes of another
    `autoencoder` than that of this digest.
    """
    metadata = checkpoint.read_metadata(path)
    checkpoint.check_stage(path, metadata, stage)
    config = checkpoint.config_of(config_type(stage), path, metadata)
    if stage == AUTOENCODER:
        _check_sizes(run, path, config)
    check_classes(run, stage, path, metadata)
    if autoencoder is not None and metadata.get(AUTOENCODER) != autoencoder:
        raise InputError(
            f"{path} learned the codes of another autoencoder: extract the codes and train "
            "this prior again"
        )
    return config


def check_classes(run, stage, path, metadata):
    """Raise `InputError` unless the checkpoint at `path` has learned the classes that `run` has."""
    if stage != AUTOENCODER or run.config.conditional:
        learned = "images" if stage == AUTOENCODER else "codes"
        _check_classes(run, f"the {learned} that {path} has learned", metadata.get(CLASSES))


def _check_sizes(run, path, config):
    for name in OF_LATER_STAGES:
        found, said = getattr(config, name), getattr(run.config.autoencoder, name)
        if found != said:
            raise InputError(
                f"{path} was trained with {name} {found}, but {path.parent / 'training.json'} says "
                f"{said}: change it back there, or restore the file"
            )


def check_codes(run, store):
    """Raise `InputError` unless an opened `CodeStore` has the maps and classes of `run`."""
    config, sizes = run.config.autoencoder, tuple(store.manifest["sizes"])
    if (store.levels, sizes) != (config.levels, config.latent_sizes):
        raise InputError(
            f"{store.folder} holds maps of the sizes {sizes} ({', '.join(store.levels)}), but "
            f"{run.config_path} says {config.latent_sizes}: extract the codes again"
        )
    if run.config.conditional:
        _check_classes(run, f"the images in {store.folder}", store.class_names)


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
