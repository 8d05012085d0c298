"""Training: the loop, what each of the two stages does in a step, and a classifier that judges."""

from vqv2.training.classifier import (
    ClassifierTask,
    begun_classifier,
    load_classifier,
    train_classifier,
)
from vqv2.training.extraction import encode_dataset
from vqv2.training.interruption import Stopped
from vqv2.training.loop import Schedule, train
from vqv2.training.stage1 import AutoencoderTask
from vqv2.training.stage2 import PriorTask
from vqv2.training.state import TrainingError

__all__ = [
    "AutoencoderTask",
    "ClassifierTask",
    "PriorTask",
    "Schedule",
    "Stopped",
    "TrainingError",
    "begun_classifier",
    "encode_dataset",
    "load_classifier",
    "train",
    "train_classifier",
]
