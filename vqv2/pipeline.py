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


def train_autoencoder(
    run,
    sources,
    seed=0,
    resume=False,
    schedule=None,
    on_start=lambda: None,
    communicator=None,
):
    """Stage 1 on {split: ImageSource}: fills RUN/autoencoder; the last held-out metrics.

    `on_start` is called when everything has been found in order. The processes of a
    `communicator` share the batches.
    """
    model = run.new_autoencoder(seed)
    task = AutoencoderTask(model, sources["train"], sources["held_out"], seed, communicator)
    return train(task, run.stage_folder(task.stage), seed, resume, schedule, on_start)


def extract_codes(run, sources, progress=True, copies=1, seed=0, communicator=None):
    """Codes of all images by the averaged encoder: fills RUN/codes; the opened store.

    `copies`, `seed` and `communicator`: see `vqv2.training.encode_dataset`. Raises `InputError`
    when the data has other classes than the run was made for.
    """
    model, identity = run.load_autoencoder()
    names = sources["train"].class_names
    if run.config.conditional and names != run.class_names:
        raise InputError(
            f"the data has the classes {', '.join(names) or '(none)'}, but the run was made for "
            f"{', '.join(run.class_names) or '(none)'}"
        )
    settings = {"copies": copies, "seed": seed, "progress": progress}
    encode_dataset(
        model, identity, sources, run.codes_folder, **settings, communicator=communicator
    )
    return open_codes(run.codes_folder, identity)


def train_prior(
    run, level, seed=0, resume=False, schedule=None, on_start=lambda: None, communicator=None
):
    """Stage 2 for one level, from RUN/codes: fills RUN/prior-LEVEL; the last held-out metrics.

    `on_start` is called when everything has been found in order. The processes of a
    `communicator` share the batches. Raises `InputError` when the codes are missing or another
    autoencoder's.
    """
    model = run.new_prior(level, seed)
    _, identity = run.load_autoencoder()
    store = open_codes(run.codes_folder, identity)
    task = PriorTask(model, level, store, seed, communicator)
    return train(task, run.stage_folder(task.stage), seed, resume, schedule, on_start)
