"""Training a classifier for evaluation, and its folder.

FOLDER/checkpoint.safetensors     weights, configuration, class names, where its images are; with
                                  training.json and log.jsonl beside it as in a run (`vqv2.run`)
"""

from pathlib import Path

import numpy as np

from backends import to_host
from vqv2.config import ClassifierConfig
from vqv2.data.augment import PRESETS as AUGMENTATIONS
from vqv2.data.split import spread_indices
from vqv2.errors import InputError
from vqv2.lab.classifier.model import Classifier
from vqv2.optim import Adam, autoencoder_learning_rate
from vqv2.run import checkpoint, read_stage, stage_config
from vqv2.run.rules import described
from vqv2.training.draws import batch_generator, batch_indices
from vqv2.training.loop import train
from vqv2.training.task import VALIDATED, Task

STAGE = "classifier"


class ClassifierTask(Task):
    """Training a `Classifier` on an `ImageSource` with classes, validated on another.

    `data` is what the user called the images: where to find them when training continues.
    """

    stage = STAGE

    def __init__(self, model, images, held_out, data, seed):
        super().__init__(model, seed)
        self.images = images
        self.held_out = held_out
        decay, precision = self.config.polyak_decay, self.config.precision
        self.optimizer = Adam(model.parameters(), decay, precision=precision)
        self.metadata = {**described(images), "path": data}

    def batch(self, step):
        """(images (N, H, W, C) in [0, 1], augmented, labels (N,)) of a step."""
        indices = batch_indices(self.seed, step, self.config.batch, len(self.images))
        augmentation = AUGMENTATIONS[self.config.augmentation]
        images = self.images.batch(indices, augmentation, batch_generator(self.seed, step))
        return images, self.images.labels[indices]

    def loss(self, data, rng):
        """(cross-entropy in nats per image, function: the share of right classes)."""
        images, labels = data
        loss, logits = self.model.loss(images, labels, rng)
        return loss, lambda: {"accuracy": _accuracy(logits, labels)}

    def learning_rate(self, step):
        """A constant rate or half a cosine, as for the autoencoder."""
        return autoencoder_learning_rate(step, self.config)

    def validate(self):
        """Cross-entropy and accuracy on `VALIDATED` held-out images, with averaged weights."""
        chosen = spread_indices(len(self.held_out), VALIDATED)
        images, labels = self.held_out.batch(chosen), self.held_out.labels[chosen]
        with self.optimizer.averaged():
            probabilities = self.model.probabilities(images)
        right = probabilities[np.arange(len(labels)), labels]
        return {
            "loss": float(-np.log(np.maximum(right, np.finfo(np.float64).tiny)).mean()),
            "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        }


def _accuracy(logits, labels):
    return float((to_host(logits.array).argmax(axis=-1) == labels).mean())


def train_classifier(
    folder, config, sources, data, seed=0, resume=False, schedule=None, adjust=False
):
    """Train a classifier on {"train", "held_out": ImageSource} in `folder`; the last metrics.

    `data` is what the user calls the images. Raises `InputError` when they have no classes, and
    as `train` does.
    """
    images = sources["train"]
    if images.labels is None:
        raise InputError(
            f"{images.name} has no classes for a classifier to learn: use sub-folders, or labels"
        )
    model = Classifier(config, images.class_names, np.random.default_rng((seed, 0)))
    task = ClassifierTask(model, images, sources["held_out"], data, seed)
    return train(task, Path(folder), seed, resume, schedule, adjust=adjust)


def load_classifier(folder):
    """The `Classifier` in `folder`, with averaged weights, of its newest checkpoint.

    One that is older judges differently: where the newest is damaged it is for `train_classifier`
    to go on from the one before. Raises `InputError` when there is none, when it is damaged, or
    something else.
    """
    path = Path(folder) / "checkpoint.safetensors"
    metadata = checkpoint.read_metadata(path)
    _check_stage(path, metadata)
    config = checkpoint.config_of(ClassifierConfig, path, metadata)
    return checkpoint.load_model(Classifier(config, metadata["class_names"], None), path)


def begun_classifier(folder):
    """(configuration, what the user called the images) of the classifier to continue in `folder`.

    Where the images are the newest checkpoint says that is not damaged, the configuration its
    training.json, which may have been changed since. None where there is no checkpoint at all.
    Raises `InputError` when all are damaged, or something else.
    """
    checkpoints = checkpoint.Checkpoints(folder)
    if not checkpoints.paths():
        return None
    path, _, metadata, _ = checkpoints.look()
    _check_stage(path, metadata)
    record = read_stage(folder, STAGE)
    if record is None:
        return checkpoint.config_of(ClassifierConfig, path, metadata), metadata["path"]
    return stage_config(ClassifierConfig, record, folder), metadata["path"]


def _check_stage(path, metadata):
    if metadata.get("stage") != STAGE:
        raise InputError(
            f"{path} holds {metadata.get('stage')!r}, not a classifier: choose its folder"
        )
    checkpoint.check_fields(path, metadata, ("step", "config", "class_names", "path"))
