"""One image's way, from `vqv2 train` to `vqv2 sample`, stays short enough to be walked.

Counted are the files of ours, and the names of their functions, that run on it: what someone new
has to read. Where this fails, the message lists them; make the way shorter, and lower the bounds.
"""

import sys
import threading
from pathlib import Path

import backends
from tests.small import write_images
from vqv2.cli import encode, sample, train  # noqa: F401  (so that importing them is not counted)
from vqv2.cli.main import main

ROOT = Path(__file__).parents[1]
MOST_FILES = 96
MOST_FUNCTIONS = 685
SMALL = ("hidden_units=8", "residual_units=8")
AUTOENCODER = (
    *("image_size=16", "latent_sizes=4,8", "codebook_size=12", "codebook_dimension=6"),
    *SMALL,
)
PRIOR = (
    *("layers=1", "attention_layers=1", "attention_heads=2"),
    *("conditioning_blocks=2", "conditioning_units=8"),
    *SMALL,
)


def commands(folder):
    """Both stages of a tiny hierarchy on random pictures, and two samples from it."""
    run, data = str(folder / "run"), write_images(folder / "images.npz")

    def training(fields):
        settings = [word for field in fields for word in ("--set", field)]
        return ["--steps", "2", "--batch", "4", *settings]

    yield ["train", "autoencoder", "--data", data, "--out", run, *training(AUTOENCODER)]
    yield ["encode", run]
    yield ["train", "prior", run, "--level", "top", *training(PRIOR)]
    yield ["train", "prior", run, "--level", "bottom", *training(PRIOR)]
    yield ["sample", run, "--count", "2", "--out", str(folder / "samples.png")]


def run_by(function):
    """The code objects that run, in any thread, while a function does."""
    found = set()

    def watch(frame, event, _):
        if event == "call":
            found.add(frame.f_code)

    sys.setprofile(watch)
    threading.setprofile(watch)
    try:
        function()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return found.copy()  # a thread that goes on still adds to it


def test_one_images_way_is_short(tmp_path):
    functions, statuses = {}, []
    with backends.use("reference"):
        found = run_by(lambda: statuses.extend(map(main, commands(tmp_path))))
    assert statuses == [0] * 5
    for code in found:
        path = Path(code.co_filename)
        ours = any(path.is_relative_to(ROOT / package) for package in ("backends", "vqv2"))
        if ours and not code.co_name.startswith("<"):  # comprehensions, depending on Python
            functions.setdefault(path.relative_to(ROOT).as_posix(), set()).add(code.co_name)
    count = sum(map(len, functions.values()))
    walk = "\n".join(f"{path}: {' '.join(sorted(functions[path]))}" for path in sorted(functions))
    assert len(functions) <= MOST_FILES, f"{len(functions)} files:\n{walk}"
    assert count <= MOST_FUNCTIONS, f"{count} functions:\n{walk}"
