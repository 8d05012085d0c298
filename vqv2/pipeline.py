"""The stages on a run folder, in the order of Algorithms 1 and 2; commands and demo call these."""

from vqv2.data.codes import open_codes
from vqv2.data.images import open_images
from vqv2.errors import InputError
from vqv2.training import AutoencoderTask, PriorTask, encode_dataset, train


def open_splits(data, autoencoder):
    """{"train", "held_out": ImageSource} of `data`, of the autoencoder configuration's size."""
    size, channels = autoencoder.image_size, autoencoder.channels
    return {split: open_images(data, size, channels, split) for split in ("train", "held_out")}


def check_stage(run, stage, resume):
    """Raise `InputError` when there is a checkpoint to overwrite, or none to continue.

    Neither may an autoencoder be trained further once there are codes of it: these, and priors
    trained on them, would be another autoencoder's.
    """
    path = run.checkpoint_path(stage)
    if resume and not path.exists():
        raise InputError(f"there is no checkpoint {path} to continue: leave out --resume")
    if not resume and path.exists():
        raise InputError(f"{path} exists: continue it with --resume, or choose another folder")
    if stage == "autoencoder" and run.codes_folder.exists():
        raise InputError(
            f"{run.codes_folder} holds codes of this autoencoder, which training it further would "
            "make useless: copy the run, or delete its codes and priors first"
        )


def train_autoencoder(run, sources, seed=0, resume=False, schedule=None, on_start=lambda: None):
    """Stage 1 on {split: ImageSource}: fills RUN/autoencoder; the last held-out metrics.

    `on_start` is called when everything has been found in order.
    """
    model = run.new_autoencoder(seed)
    task = AutoencoderTask(model, sources["train"], sources["held_out"], seed)
    return train(task, run.stage_folder(task.stage), seed, resume, schedule, on_start)


def extract_codes(run, sources, progress=True):
    """Codes of all images by the averaged encoder: fills RUN/codes; the opened store.

    Raises `InputError` when the data has other classes than the run was made for.
    """
    model, identity = run.load_autoencoder()
    check_classes(run, sources)
    encode_dataset(model, identity, sources, run.codes_folder, 32, progress)
    return open_codes(run.codes_folder, identity)


def check_classes(run, sources):
    """Raise `InputError` when {split: ImageSource} has other classes than the run was made for."""
    for source in sources.values() if run.config.conditional else ():
        names = source.class_names
        if names != run.class_names:
            raise InputError(
                f"the data has the classes {', '.join(names) or '(none)'}, but the run was made "
                f"for {', '.join(run.class_names) or '(none)'}"
            )


def train_prior(run, level, seed=0, resume=False, schedule=None, on_start=lambda: None):
    """Stage 2 for one level, from RUN/codes: fills RUN/prior-LEVEL; the last held-out metrics.

    `on_start` is called when everything has been found in order. Raises `InputError` when the
    codes are missing or another autoencoder's.
    """
    model = run.new_prior(level, seed)
    _, identity = run.load_autoencoder()
    store = open_codes(run.codes_folder, identity)
    task = PriorTask(model, level, store, seed)
    return train(task, run.stage_folder(task.stage), seed, resume, schedule, on_start)
