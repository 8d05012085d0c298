"""Weights from the PyTorch port and for it: the same codes and images; and wrong files."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tests.lab.interchange import port
from tests.small import CONFIG, write_images
from vqv2.cli.main import main
from vqv2.config import replace
from vqv2.errors import InputError
from vqv2.hierarchy import Hierarchy
from vqv2.lab.interchange import read_autoencoder, write_weights
from vqv2.models.autoencoder import Autoencoder
from vqv2.run import build_prior

SIZE = 32


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "vqvae.safetensors"
    save_file(port.random_state(), path)
    return path


@pytest.fixture
def images():
    return np.random.default_rng(1).random((3, SIZE, SIZE, 3), dtype=np.float32)


def as_theirs(images):
    """(N, H, W, C) in [0, 1] -> (N, C, H, W) in [-1, 1]."""
    return images.transpose(0, 3, 1, 2) * 2 - 1


def as_ours(images):
    """The inverse, clipped as `decode` does."""
    return np.clip((images.transpose(0, 2, 3, 1) + 1) / 2, 0, 1)


def test_the_ports_codes_and_images_come_out(file, images):
    model = read_autoencoder(file, SIZE)
    top, bottom, decoded = port.forward(port.random_state(), as_theirs(images))
    codes = model.encode(images)
    np.testing.assert_array_equal(codes["top"], top)
    np.testing.assert_array_equal(codes["bottom"], bottom)
    assert len(np.unique(top)) > 2 and len(np.unique(bottom)) > 2
    ours = model.decode(codes)
    np.testing.assert_allclose(ours, as_ours(decoded), atol=2e-6)
    assert (ours % 1 > 0).mean() > 0.5, "most of it is not clipped"


def torch_port(torch):
    """The port as its users build it, of the same names: layers in sequences, ReLU between."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(port.HIDDEN, port.RESIDUAL, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(port.RESIDUAL, port.HIDDEN, 1),
            )

        def forward(self, x):
            return x + self.conv(x)

    class Blocks(nn.Module):
        def __init__(self, *layers):
            super().__init__()
            self.blocks = nn.Sequential(*layers)

        def forward(self, x):
            return self.blocks(x)

    class Codebook(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("embed", torch.zeros(port.DIMENSION, port.CODES))
            self.register_buffer("cluster_size", torch.zeros(port.CODES))
            self.register_buffer("embed_avg", torch.zeros(port.DIMENSION, port.CODES))

        def forward(self, x):
            x = x.permute(0, 2, 3, 1)
            distance = torch.cdist(x.reshape(-1, port.DIMENSION), self.embed.T)
            codes = distance.argmin(1).reshape(x.shape[:-1])
            return codes, self.embed.T[codes].permute(0, 3, 1, 2)

    def residual():
        return [*(Block() for _ in range(port.BLOCKS)), nn.ReLU()]

    def down(a, b):
        return nn.Conv2d(a, b, 4, stride=2, padding=1)

    def up(a, b):
        return nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)

    def same(a, b):
        return nn.Conv2d(a, b, 3, padding=1)

    channels, hidden, half, width = port.CHANNELS, port.HIDDEN, port.HIDDEN // 2, port.DIMENSION

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.enc_b = Blocks(
                down(channels, half),
                nn.ReLU(),
                down(half, hidden),
                nn.ReLU(),
                same(hidden, hidden),
                *residual(),
            )
            self.enc_t = Blocks(down(hidden, half), nn.ReLU(), same(half, hidden), *residual())
            self.quantize_conv_t = nn.Conv2d(hidden, width, 1)
            self.quantize_t = Codebook()
            self.dec_t = Blocks(same(width, hidden), *residual(), up(hidden, width))
            self.quantize_conv_b = nn.Conv2d(width + hidden, width, 1)
            self.quantize_b = Codebook()
            self.upsample_t = up(width, width)
            self.dec = Blocks(
                same(2 * width, hidden),
                *residual(),
                up(hidden, half),
                nn.ReLU(),
                up(half, channels),
            )

        def forward(self, x):
            bottom = self.enc_b(x)
            top_codes, top = self.quantize_t(self.quantize_conv_t(self.enc_t(bottom)))
            joined = torch.cat([self.dec_t(top), bottom], 1)
            bottom_codes, bottom = self.quantize_b(self.quantize_conv_b(joined))
            return top_codes, bottom_codes, self.dec(torch.cat([self.upsample_t(top), bottom], 1))

    return Model().eval()


def test_the_same_with_pytorch(file, images):
    torch = pytest.importorskip("torch", reason='PyTorch is missing: pip install "vqv2[bench]"')
    model = torch_port(torch)
    state = {name: torch.from_numpy(array) for name, array in port.random_state().items()}
    model.load_state_dict(state, strict=True)
    with torch.no_grad():
        theirs = model(torch.from_numpy(as_theirs(images)).contiguous())
    top, bottom, decoded = (output.numpy() for output in theirs)
    ours = read_autoencoder(file, SIZE)
    codes = ours.encode(images)
    np.testing.assert_array_equal(codes["top"], top)
    np.testing.assert_array_equal(codes["bottom"], bottom)
    np.testing.assert_allclose(ours.decode(codes), as_ours(decoded), atol=2e-6)


def test_export_gives_back_what_was_imported(file, tmp_path):
    write_weights(tmp_path / "back.safetensors", read_autoencoder(file, SIZE), "pytorch")
    before, after = port.random_state(), load_file(tmp_path / "back.safetensors")
    assert set(before) == set(after)
    for name, array in before.items():
        if "embed_avg" in name:  # the port's smoothing is undone
            np.testing.assert_allclose(after[name], array, rtol=1e-4)
        else:
            np.testing.assert_array_equal(after[name], array, err_msg=name)


def trained(rng):
    """One of ours after some steps, with codes that have restarted."""
    model = Autoencoder(replace(CONFIG.autoencoder, {"image_size": 32, "codebook_size": 30}), rng)
    for _ in range(5):
        model.loss(rng.random((4, 32, 32, 3), dtype=np.float32), rng)
    return model


def test_ours_in_the_ports_hands(tmp_path, images, monkeypatch):
    model = trained(np.random.default_rng(0))
    write_weights(tmp_path / "ours.safetensors", model, "pytorch")
    state = load_file(tmp_path / "ours.safetensors")
    monkeypatch.setattr(port, "BLOCKS", model.config.layers)
    top, bottom, decoded = port.forward(state, as_theirs(images))
    codes = model.encode(images)
    np.testing.assert_array_equal(codes["top"], top)
    np.testing.assert_array_equal(codes["bottom"], bottom)
    np.testing.assert_allclose(model.decode(codes), as_ours(decoded), atol=2e-6)
    # Its next update, with nothing new, leaves the codebook where it is.
    counts = state["quantize_t.cluster_size"].astype(np.float64)
    smoothed = (counts + 1e-5) / (counts.sum() + len(counts) * 1e-5) * counts.sum()
    np.testing.assert_allclose(
        state["quantize_t.embed_avg"] / smoothed, state["quantize_t.embed"], rtol=1e-4, atol=1e-6
    )


def test_training_on_goes_as_it_would_in_the_port(file, images):
    """Equation 3 without debiasing: N and m move by 1 % of the batch's counts and sums."""
    model = read_autoencoder(file, SIZE, {"restart_after": "0"})
    state = port.random_state()
    counts, sums = state["quantize_t.cluster_size"], state["quantize_t.embed_avg"]
    quantizer, seen = model.quantizers[0], []
    statistics = quantizer._statistics
    quantizer._statistics = lambda *given: seen.append(statistics(*given)) or seen[-1]
    model.loss(images, np.random.default_rng(0))
    counts = 0.99 * counts + 0.01 * seen[0][0]
    sums = 0.99 * sums + 0.01 * seen[0][1].T
    smoothed = (counts + 1e-5) / (counts.sum() + port.CODES * 1e-5) * counts.sum()
    np.testing.assert_allclose(quantizer.codebook, (sums / smoothed).T, rtol=1e-5, atol=1e-6)


def test_our_own_names_keep_everything(tmp_path):
    model = trained(np.random.default_rng(0))
    write_weights(tmp_path / "ours.safetensors", model)
    again = read_autoencoder(tmp_path / "ours.safetensors", settings={"batch": "7"})
    assert again.config == replace(model.config, {"batch": 7})
    for name, array in model.state().items():
        np.testing.assert_array_equal(again.state()[name], array)


def test_a_run_from_the_port_encodes_decodes_and_learns_on(file, tmp_path, images, capsys):
    data = write_images(tmp_path / "images.npz", size=SIZE)
    run = str(tmp_path / "run")
    command = ["import", str(file), "--data", data, "--image-size", str(SIZE), "--out", run]
    settings = ["--preset", "demo", "--set", "batch=4", "--set", "augmentation=none"]
    assert main([*command, *settings]) == 0
    assert "codes of 4x4 and 8x8" in capsys.readouterr().out
    hierarchy = Hierarchy.load(run)
    decoded = port.forward(port.random_state(), as_theirs(images))[2]
    ours = hierarchy.decode(hierarchy.encode(images))
    np.testing.assert_allclose(ours, as_ours(decoded), atol=2e-6)
    assert main(["doctor", run]) == 0
    said = capsys.readouterr().out
    assert "complete: imported" in said and said.endswith(f"next:\n  vqv2 encode {run}\n")
    assert main(["train", "autoencoder", "--out", run, "--resume", "--steps", "2"]) == 0
    assert main(["encode", run]) == 0
    out = str(tmp_path / "back.safetensors")
    assert main(["export", run, "--names", "pytorch", "--out", out]) == 0
    assert set(load_file(out)) == set(port.shapes())


WRONG = [
    (lambda s: s.pop("dec.blocks.0.bias"), "no array dec.blocks.0.bias"),
    (lambda s: s.pop("enc_b.blocks.0.weight"), "no array enc_b.blocks.0.weight of 4 dimensions"),
    (lambda s: s.update(rest=np.zeros(2, np.float32)), "an unknown array rest"),
    (
        lambda s: s.update({"upsample_t.bias": np.zeros(7, np.float32)}),
        r"upsample_t.bias has shape \(7,\), but \(6,\) fits",
    ),
    (
        lambda s: s.update({"quantize_b.embed": np.zeros((6, 12), np.float32)}),
        r"quantize_b.embed has shape \(6, 12\), but \(6, 11\) fits",
    ),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_wrong_file_is_one_sentence(tmp_path, change, message):
    state = port.random_state()
    change(state)
    save_file(state, tmp_path / "wrong.safetensors")
    with pytest.raises(InputError, match=f"wrong.safetensors cannot be imported: .*{message}"):
        read_autoencoder(tmp_path / "wrong.safetensors", SIZE)


def test_names_of_a_parallel_training_are_known(tmp_path):
    state = {f"module.{name}": array for name, array in port.random_state().items()}
    save_file(state, tmp_path / "parallel.safetensors")
    read_autoencoder(tmp_path / "parallel.safetensors", SIZE)


@pytest.mark.parametrize("size", [36, 0, 4])
def test_a_size_that_the_port_cannot_have(file, size):
    with pytest.raises(InputError, match="cannot be imported"):
        read_autoencoder(file, size)


def test_what_is_no_safetensors_file(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04 something of PyTorch's")
    with pytest.raises(InputError, match="not a safetensors file.*torch.load"):
        read_autoencoder(tmp_path / "model.pt")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_autoencoder(tmp_path / "nothing.safetensors")


def test_settings_that_contradict_the_weights(file):
    with pytest.raises(InputError, match="its hidden_units is 8"):
        read_autoencoder(file, SIZE, {"hidden_units": "16"})


def test_what_the_port_has_no_place_for(tmp_path):
    rng = np.random.default_rng(0)
    three = replace(CONFIG.autoencoder, {"latent_sizes": "2,4,8"})
    with pytest.raises(InputError, match="two levels .* latent_sizes"):
        write_weights(tmp_path / "x", Autoencoder(three, rng), "pytorch")
    with pytest.raises(InputError, match="no names 'keras'"):
        write_weights(tmp_path / "x", Autoencoder(three, rng), "keras")
    with pytest.raises(InputError, match="not for prior-top"):
        write_weights(tmp_path / "x", None, "pytorch", "prior-top")
    assert list(tmp_path.iterdir()) == []


def test_a_prior_under_our_names(tmp_path):
    prior = build_prior(CONFIG, "bottom", 3, seed=0)
    path = tmp_path / "bottom.safetensors"
    write_weights(path, prior, part="prior-bottom")
    assert set(load_file(path)) == set(prior.state())
    with pytest.raises(InputError, match="holds a prior-bottom, not an autoencoder"):
        read_autoencoder(path)
    with safe_open(path, "numpy") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["config"])["conditioning_blocks"] == 2
    assert metadata["classes"] == "3"
