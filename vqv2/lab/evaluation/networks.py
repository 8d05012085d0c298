"""Feature networks by what a person calls them, for the command line."""

from vqv2.errors import InputError
from vqv2.lab.classifier import load_classifier
from vqv2.lab.evaluation.features import LayerFeatures, Pixels, encoder_features
from vqv2.lab.evaluation.vgg import VGG16Features

TRUNK = "trunk"  # the part of a classifier before its last layer
NETWORKS_HELP = (
    "pixels, encoder (the run's own, averaged over the map), encoder-map (all of it), "
    "layer:NAME of the run's autoencoder, classifier:FOLDER (what `train classifier` "
    "left) or classifier:FOLDER:LAYER, or vgg16:FILE with weights"
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
        block = config.images_at_once()
        return LayerFeatures(text, hierarchy.autoencoder, detail, size, channels, block=block)
    if kind == "classifier":
        folder, _, layer = detail.partition(":")
        return classifier_features(folder, layer or TRUNK)
    if kind == "vgg16":
        return VGG16Features(detail)
    raise InputError(f"there are no features {text!r}: use {NETWORKS_HELP}")


def classifier_features(folder, layer=TRUNK):
    """What a layer of the classifier in `folder` puts out; maps are averaged over positions.

    The default is what it tells classes from, a vector of feature_units numbers.
    """
    classifier = load_classifier(folder)
    config = classifier.config
    name = "classifier" if layer == TRUNK else f"classifier, {layer}"
    return LayerFeatures(name, classifier, layer, config.image_size, config.channels)
