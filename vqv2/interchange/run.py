"""A run folder that begins with an autoencoder from elsewhere."""

import dataclasses

from vqv2 import checkpoint
from vqv2.training import AutoencoderTask


def begin_run(run, model, sources, seed=0):
    """Write `run` with `model` as its autoencoder, for the data {split: ImageSource}.

    Its codes can be extracted, and it can be trained further: it stands at step 0, with Adam's
    moments at zero. Raises `InputError` when it cannot be written.
    """
    task = AutoencoderTask(model, sources["train"], sources["held_out"], seed)
    arrays = {f"model.{name}": array for name, array in model.state().items()}
    arrays.update(task.optimizer.state())
    config = dataclasses.asdict(model.config)
    metadata = {"stage": task.stage, "step": 0, "seed": seed, "config": config, **task.metadata}
    run.save()
    checkpoint.save(run.checkpoint_path(task.stage), arrays, metadata)
