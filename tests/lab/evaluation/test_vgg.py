"""VGG-16 against a plain NumPy one, channels first, with torchvision's arrays; and its file."""

import math

import numpy as np
import pytest
from safetensors.numpy import save_file

from vqv2.errors import InputError
from vqv2.lab.evaluation.vgg import VGG16, Shape, VGG16Features, load_weights, name_map

SMALL = Shape(size=64, widths=(2, 3, 4, 5, 6), dense=7)
FULL = {  # number of the layer in torchvision's model: (out, in)
    "features": {
        0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256),
        14: (256, 256), 17: (512, 256), 19: (512, 512), 21: (512, 512), 24: (512, 512),
        26: (512, 512), 28: (512, 512),
    },
    "classifier": {0: (4096, 25088), 3: (4096, 4096)},
}  # fmt: skip


def test_the_map_of_the_real_network_is_torchvisions():
    expected = {}
    for part, layers in FULL.items():
        for number, sizes in layers.items():
            kernel = (3, 3) if part == "features" else ()
            expected[f"{part}.{number}.weight"] = (*sizes, *kernel)
            expected[f"{part}.{number}.bias"] = sizes[:1]
    found = {source.name: source.shape for source in name_map().values()}
    assert found == expected
    # The network has 138 357 544 parameters, of which 4096 * 1000 + 1000 are in its last layer.
    assert sum(math.prod(shape) for shape in found.values()) == 138_357_544 - 4_097_000


def random_arrays(rng, dtype=np.float32):
    """A small network's arrays under torchvision's names."""
    return {
        source.name: (rng.standard_normal(source.shape) * 0.5).astype(dtype)
        for source in name_map(SMALL).values()
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "vgg16.safetensors"


def convolution(x, weight, bias):
    """Zero-padded 3x3 convolution, (N, C, H, W), (D, C, 3, 3)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("nchwab,dcab->ndhw", windows, weight) + bias[:, None, None]


def oracle(images, arrays):
    """Activations of classifier.3 after ReLU, channels first and in float64, layer by layer."""
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
    x = (images - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    x = x.transpose(0, 3, 1, 2)
    for place in range(31):
        if place in (4, 9, 16, 23, 30):
            x = np.maximum(
                np.maximum(x[:, :, ::2, ::2], x[:, :, 1::2, ::2]),
                np.maximum(x[:, :, ::2, 1::2], x[:, :, 1::2, 1::2]),
            )
        elif f"features.{place}.weight" in arrays:
            names = (f"features.{place}.weight", f"features.{place}.bias")
            x = np.maximum(convolution(x, *(arrays[name] for name in names)), 0)
    x = x.reshape(len(x), -1)
    for place in (0, 3):
        weight, bias = (arrays[f"classifier.{place}.{kind}"] for kind in ("weight", "bias"))
        x = np.maximum(x @ weight.T + bias, 0)
    return x


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_it_computes_what_the_arrays_mean(path, dtype):
    rng = np.random.default_rng(0)
    arrays, images = random_arrays(rng, dtype), rng.random((3, 64, 64, 3), dtype=np.float32)
    unused = {"classifier.6.weight": np.zeros((1000, 7)), "classifier.6.bias": np.zeros(1000)}
    save_file({**arrays, **unused}, path)
    expected = oracle(images, arrays)
    assert (expected > 0).mean() > 0.2
    found = VGG16Features(path, SMALL, block=2).features(images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.max())


def without(name):
    def change(arrays):
        del arrays[name]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("features.28.bias"), "no array 'features.28.bias'"),
        (lambda a: a.update({"features.0.weight": np.zeros((2, 3, 5, 5))}), r"\(2, 3, 5, 5\)"),
        (lambda a: a.update({"features.0.weight": np.zeros((2, 3, 3, 3), int)}), "is I64"),
        (lambda a: a.update({"features.1.running_mean": np.zeros(2)}), "features.1.running_mean"),
    ],
)
def test_a_file_of_another_network_is_refused_and_changes_nothing(path, change, message):
    arrays = random_arrays(np.random.default_rng(0))
    change(arrays)
    save_file(arrays, path)
    model = VGG16(np.random.default_rng(1), SMALL)
    before = model.state()
    with pytest.raises(InputError, match=message):
        load_weights(model, path, SMALL)
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_file_that_cannot_be_read_is_named(path):
    with pytest.raises(InputError, match="vgg16.safetensors cannot be read: No such file"):
        VGG16Features(path, SMALL)
    path.write_text("not weights")
    with pytest.raises(InputError, match="not a safetensors file"):
        VGG16Features(path, SMALL)


def test_sizes_that_cannot_be_halved_five_times_are_refused():
    with pytest.raises(InputError, match="100 is no multiple of 32"):
        VGG16(np.random.default_rng(0), Shape(size=100))
