"""Interchange: weights under documented names, ours and those of the PyTorch port."""

from vqv2.lab.interchange.run import begin_run
from vqv2.lab.interchange.weights import NAMES, read_autoencoder, write_weights

__all__ = ["NAMES", "begin_run", "read_autoencoder", "write_weights"]
