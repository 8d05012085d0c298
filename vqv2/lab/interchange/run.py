"""A run folder that begins with an autoencoder from elsewhere."""

from pathlib import Path

from vqv2.run.checkpoint import checksum
from vqv2.run.rules import ORIGIN
from vqv2.training import AutoencoderTask
from vqv2.training.loop import save_training


def begin_run(run, model, sources, file, seed=0):
    """Write `run` with `model` as its autoencoder, for the data {split: ImageSource}.

    Its codes can be extracted, and it can be trained further: it stands at step 0
    (`vqv2.training.start`). `file` is where the weights came from. Raises `InputError` when it
    cannot be written, and for weights that are no numbers.
    """
    task = AutoencoderTask(model, sources["train"], sources["held_out"], seed)
    origin = {"file": str(Path(file).resolve()), "identity": checksum(model.state())}
    task.metadata[ORIGIN] = origin
    save_training(task, run.checkpoints(task.stage), 0, seed)
    run.save()
