"""Feature networks by what a person calls them, for the command line."""

from vqv2.errors import InputError
from vqv2.evaluation.features import LayerFeatures, Pixels, encoder_features
from vqv2.evaluation.vgg import VGG16Features
from vqv2.training import load_classifier

NETWORKS_HELP = (
    "pixels, encoder (the run's own, averaged over the map), encoder-map (all of it), "
    "layer:NAME of the run's autoencoder, classifier:FOLDER (what `train classifier` "
    "left), or vgg16:FILE with weights"
)


def open_network(text, hierarchy):
    """The feature network that `text` names: "pixels", "vgg16:weights.safetensors", ...

    Raises `InputError` for anything that `NETWORKS_HELP` does not list, and for a file that is no
    VGG-16.
    """
    kind, colon, detail = text.partition(":")
    config = hierarchy.autoencoder.config
    size, channels = config.image_size, config.channels
    if bool(detail) != (kind in ("vgg16", "layer", "classifier")):
        raise InputError(f"there are no features {text!r}: use {NETWORKS_HELP}")
    if kind == "pixels":
        return Pixels(size, channels)
    if kind in ("encoder", "encoder-map"):
        return encoder_features(hierarchy.autoencoder, pooled=kind == "encoder")
    if kind == "layer":
        return LayerFeatures(text, hierarchy.autoencoder, detail, size, channels)
    if kind == "classifier":
        return classifier_features(detail)
    if kind == "vgg16":
        return VGG16Features(detail)
    raise InputError(f"there are no features {text!r}: use {NETWORKS_HELP}")


def classifier_features(folder):
    """What the classifier in `folder` tells classes from: a vector of feature_units numbers."""
    classifier = load_classifier(folder)
    config = classifier.config
    return LayerFeatures("classifier", classifier, "trunk", config.image_size, config.channels)
