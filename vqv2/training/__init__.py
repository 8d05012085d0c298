"""Training: the loop, and what each of the two stages does in a step."""

from vqv2.training.autoencoder import AutoencoderTask
from vqv2.training.extraction import encode_dataset
from vqv2.training.loop import Schedule, train
from vqv2.training.prior import PriorTask
from vqv2.training.signals import Stopped
from vqv2.training.step import TrainingError

__all__ = [
    "AutoencoderTask",
    "PriorTask",
    "Schedule",
    "Stopped",
    "TrainingError",
    "encode_dataset",
    "train",
]
