"""VGG-16 (Simonyan and Zisserman, 2015) as a feature network: what Figure 2 is made with.

The project ships no weights. The user gives them as a safetensors file with the names and shapes of
torchvision's model, `features.0.weight` to `classifier.3.bias`; docs/evaluation.md says how to make
one.
"""

import contextlib
from typing import NamedTuple

import numpy as np

import vqv2.functional as F
from backends import array_module, to_device
from vqv2 import nn
from vqv2.autodiff import Tensor, no_grad
from vqv2.errors import InputError
from vqv2.files import open_tensors
from vqv2.lab.evaluation.features import FeatureNetwork
from vqv2.nn.finite import check_arrays

CONVOLUTIONS = (2, 2, 3, 3, 3)  # of each width, before the map is halved
MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels, red, green, blue: what the weights expect
DEVIATION = (0.229, 0.224, 0.225)
UNUSED = ("classifier.6.weight", "classifier.6.bias")  # the classes' scores are not needed
NUMBERS = ("F16", "F32", "F64")
BLOCK = 8  # images at a time: the first layers put out 13 MB for each


class Shape(NamedTuple):
    """How large the network is; the defaults are VGG-16, others are for trying things out."""

    size: int = 224  # of the images, a multiple of 32
    widths: tuple = (64, 128, 256, 512, 512)
    dense: int = 4096

    @property
    def channels(self):
        """[3, 64, 64, 128, ...]: inputs and output of the thirteen convolutions in a row."""
        widths = zip(self.widths, CONVOLUTIONS, strict=True)
        return [3, *(width for width, count in widths for _ in range(count))]

    @property
    def side(self):
        """Rows and columns of the map that the fully connected layers read."""
        return self.size // 32


VGG_16 = Shape()


class VGG16(nn.Module):
    """Thirteen 3x3 convolutions with ReLU, five maximum poolings, two fully connected layers.

    The layer after these, to ImageNet's 1000 classes, is left out.
    """

    def __init__(self, rng, shape=VGG_16):
        if shape.size % 32:
            raise InputError(
                f"VGG-16 halves its maps five times: {shape.size} is no multiple of 32"
            )
        self.convolutions = [
            nn.Conv2d(a, b, 3, rng)
            for a, b in zip(shape.channels, shape.channels[1:], strict=False)
        ]
        self.dense = [
            nn.Linear(shape.side**2 * shape.channels[-1], shape.dense, rng),
            nn.Linear(shape.dense, shape.dense, rng),
        ]

    def forward(self, images):
        """Images (N, size, size, 3) in [0, 1] -> activations of the second of them, (N, dense).

        After ReLU. Evaluation only: no tape is kept.
        """
        x = (images - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
        x, convolutions = Tensor(to_device(x)), iter(self.convolutions)
        with no_grad():
            for count in CONVOLUTIONS:
                for _ in range(count):
                    x = F.relu(next(convolutions)(x))
                x = Tensor(_halved(x.array))
            x = F.reshape(x, shape=(len(images), -1))
            for layer in self.dense:
                x = F.relu(layer(x))
        return x


def _halved(x):
    """The largest of every 2 x 2 positions: (N, H, W, C) -> (N, H / 2, W / 2, C)."""
    n, height, width, channels = x.shape
    tiles = x.reshape(n, height // 2, 2, width // 2, 2, channels)
    return array_module(x).max(tiles, axis=(2, 4))


class Source(NamedTuple):
    """Where one of our parameters comes from."""

    name: str  # torchvision's
    shape: tuple  # of its array
    convert: object  # function: its array -> ours


def name_map(shape=VGG_16):
    """{our parameter: its `Source`}.

    torchvision numbers the convolutions together with the ReLU and pooling layers between them,
    its weights are (out, in, rows, columns) and (out, in), and a map is flattened channels first.
    """
    sources, place, layer = {}, 0, 0
    for count in CONVOLUTIONS:
        for _ in range(count):
            inputs, outputs = shape.channels[layer : layer + 2]
            weight = (f"features.{place}", (outputs, inputs, 3, 3), _convolution)
            sources.update(_layer(f"convolutions.{layer}", *weight))
            place, layer = place + 2, layer + 1
        place += 1
    inputs = shape.side**2 * shape.channels[-1]
    first = ("classifier.0", (shape.dense, inputs), _after_map(shape.side))
    second = ("classifier.3", (shape.dense, shape.dense), np.transpose)
    return {**sources, **_layer("dense.0", *first), **_layer("dense.1", *second)}


def _layer(ours, theirs, shape, convert):
    return {
        f"{ours}.weight": Source(f"{theirs}.weight", shape, convert),
        f"{ours}.bias": Source(f"{theirs}.bias", shape[:1], np.asarray),
    }


def _convolution(weight):
    return weight.transpose(2, 3, 1, 0)


def _after_map(side):
    def convert(weight):
        maps = weight.reshape(len(weight), -1, side, side)
        return maps.transpose(2, 3, 1, 0).reshape(-1, len(weight))

    return convert


def load_weights(model, path, shape=VGG_16):
    """Fill a `VGG16` from a safetensors file of torchvision's names, float16, 32 or 64.

    Raises `InputError` naming the file, and the array, when one is missing, is of another shape or
    type, or belongs to another network; then nothing has been changed. Also when one is not finite.
    """
    sources = name_map(shape)
    with _opened(path, sources.values()) as file:
        for name, parameter in model.parameters().items():
            source = sources[name]
            given = file.read(source.name)
            check_arrays({source.name: given}, path)
            array = source.convert(given)
            parameter.array[...] = to_device(np.ascontiguousarray(array, np.float32))


@contextlib.contextmanager
def _opened(path, sources):
    """The safetensors file, once it has turned out to hold the arrays of all `sources`."""
    with open_tensors(path, "save the weights again as docs/evaluation.md says") as file:
        _check(file.entries, sources, path)
        yield file


def _check(given, sources, path):
    for source in sources:
        if source.name not in given:
            raise InputError(
                f"{path} has no array {source.name!r}: it must have torchvision's names of VGG-16, "
                "features.0.weight to classifier.3.bias"
            )
        entry = given[source.name]
        if entry.dtype not in NUMBERS:
            raise InputError(
                f"{source.name} in {path} is {entry.dtype}: save the weights as float32"
            )
        if entry.shape != source.shape:
            raise InputError(
                f"{source.name} in {path} has shape {entry.shape}, in VGG-16 it is {source.shape}: "
                "the file belongs to another network"
            )
    foreign = sorted(set(given) - {source.name for source in sources} - set(UNUSED))
    if foreign:
        raise InputError(
            f"{path} has an array {foreign[0]!r}, which VGG-16 does not have: it belongs to "
            "another network"
        )


class VGG16Features(FeatureNetwork):
    """Activations of VGG-16's second fully connected layer, D = 4096; weights from a file.

    Raises `InputError` as `load_weights` does.
    """

    def __init__(self, path, shape=VGG_16, block=BLOCK):
        super().__init__("VGG-16, second fully connected layer", shape.size, 3, block)
        with _opened(path, name_map(shape).values()):  # before 134 million weights are made
            self.model = VGG16(np.random.default_rng(0), shape)
        load_weights(self.model, path, shape)

    def _block(self, images):
        return self.model(images).array
