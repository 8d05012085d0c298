"""Training: the loop, and what each of the two stages does in a step."""

from vqv2.training.loop import Schedule, TrainingError, train
from vqv2.training.stage1 import AutoencoderTask, encode_dataset
from vqv2.training.stage2 import PriorTask

__all__ = [
    "AutoencoderTask",
    "PriorTask",
    "Schedule",
    "TrainingError",
    "encode_dataset",
    "train",
]
