"""One image's way, from a training to a sample, stays short enough to be read."""

import sys
import threading
from pathlib import Path

import backends
from tests.small import write_images
from vqv2.cli import encode, sample, train  # noqa: F401  (what importing them runs is no step)
from vqv2.cli.main import main

ROOT = Path(__file__).parents[1]
MOST_FILES, MOST_FUNCTIONS = 9, 9  # it may only become shorter
SMALL = "hidden_units=8 residual_units=8"
AUTOENCODER = f"image_size=16 latent_sizes=4,8 codebook_size=12 codebook_dimension=6 {SMALL}"
PRIOR = f"layers=1 attention_layers=1 attention_heads=2 conditioning_blocks=2 conditioning_units=8 {SMALL}"


def crossed(commands):
    """{file of ours: names of its functions} that run while the command line obeys."""
    functions = {}

    def watch(frame, event, argument):
        path, name = frame.f_code.co_filename, frame.f_code.co_name
        if event == "call" and path.startswith(str(ROOT)) and name != "<module>":
            functions.setdefault(path, set()).add(name)

    sys.setprofile(watch)
    threading.setprofile(watch)
    try:
        assert [main(words) for words in commands] == [0] * len(commands)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return {f: names for f, names in functions.items() if not Path(f).is_relative_to(ROOT / "tests")}


def test_one_images_way_is_short(tmp_path):
    run, data = f"{tmp_path}/run", write_images(tmp_path / "images.npz")
    training = ["--steps", "2", "--batch", "4"]
    autoencoder = [word for field in AUTOENCODER.split() for word in ("--set", field)]
    prior = [word for field in PRIOR.split() for word in ("--set", field)]
    commands = [
        ["train", "autoencoder", "--data", data, "--out", run, *training, *autoencoder],
        ["encode", run],
        *(["train", "prior", run, "--level", n, *training, *prior] for n in ("top", "bottom")),
        ["sample", run, "--count", "2", "--out", f"{run}/samples.png"],
    ]
    with backends.use("reference"):
        functions = crossed(commands)
    count = sum(map(len, functions.values()))
    longest = "\n".join(f"{len(n):3d} {Path(f).relative_to(ROOT)}: {' '.join(sorted(n))}" for f, n in sorted(functions.items()))
    assert len(functions) <= MOST_FILES and count <= MOST_FUNCTIONS, f"{len(functions)} {count}\n{longest}"
