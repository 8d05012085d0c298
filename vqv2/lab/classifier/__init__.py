"""A classifier of images, which judges samples: rejection, features, accuracy score."""

from vqv2.lab.classifier.training import (
    ClassifierTask,
    begun_classifier,
    load_classifier,
    train_classifier,
)

__all__ = ["ClassifierTask", "begun_classifier", "load_classifier", "train_classifier"]
