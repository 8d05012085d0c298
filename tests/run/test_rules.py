"""What config.json says of the stages is what they were trained with, for whoever uses them."""

import json
import shutil

import pytest

from tests.small import AUTOENCODER, train_all
from vqv2 import pipeline
from vqv2.cli.main import main
from vqv2.errors import InputError
from vqv2.hierarchy import Hierarchy
from vqv2.run import Run, checkpoint
from vqv2.training import Schedule

QUIET = Schedule(progress=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train_all(tmp_path_factory.mktemp("consistency"), QUIET)[0].folder


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def change(path, **fields):
    """Other fields in a JSON file, dotted names for those further inside."""
    content = json.loads(path.read_text())
    for name, value in fields.items():
        *tables, field = name.split("__")
        table = content
        for inner in tables:
            table = table[inner]
        table[field] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"class_names": ["2", "1", "0"]}, "class 0 of .* is '0', but in .* it is '2'"),
        ({"class_names": ["0", "1", "1"]}, "two classes '1', 1 and 2"),
        ({"class_names": ["0", "1"]}, "class 2 of .* is '2', but in .* it is missing"),
        ({"config__conditional": False}, "'0', but in .* it is missing|has learned the codes that"),
        ({"config__codebook_size": 13}, "with codebook_size 12, but .* says 13"),
        ({"config__latent_sizes": [2, 8]}, r"latent_sizes \(4, 8\), but"),
        ({"config__image_size": 32}, "image_size 16, but .* says 32"),
        ({"config__channels": 1}, "channels 3, but .* says 1"),
    ],
)
def test_a_changed_configuration_is_used_by_nobody(run, finished, fields, said):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    common = {"class_names", "config__conditional"} & fields.keys()
    changed = run / ("config.json" if common else "autoencoder/training.json")
    change(changed, **fields)
    before[changed] = changed.read_bytes()
    sources = pipeline.open_splits(str(finished.parent / "images.npz"), AUTOENCODER)
    for use in (
        lambda: Hierarchy.load(run),
        lambda: pipeline.train_prior(Run.open(run), "top", resume=True, schedule=QUIET),
        lambda: pipeline.extract_codes(Run.open(run), sources, progress=False, copies=2),
    ):
        with pytest.raises(InputError, match=said):
            use()
    assert {path: path.read_bytes() for path in before} == before
    assert main(["doctor", str(run), "--quick"]) in (1, 2)


def test_each_stage_is_compared_by_itself(run, finished):
    """As where one of them was copied from a run with other classes or sizes."""
    path = run / "prior-top" / "checkpoint.safetensors"
    arrays, metadata = checkpoint.load(path)
    checkpoint.save(path, arrays, {**metadata, "class_names": ["1", "0", "2"]})
    with pytest.raises(InputError, match="class 0 of the codes that .*prior-top.* is '1', but in"):
        Hierarchy.load(run)
    with pytest.raises(InputError, match="class 0 of the codes that .*prior-top.* is '1', but in"):
        pipeline.train_prior(Run.open(run), "top", resume=True, schedule=QUIET)
    identity = Run.open(run).load_autoencoder()[1]
    other = Run.open(run)
    other.class_names = ("2", "1", "0")
    with pytest.raises(InputError, match="class 0 of the images in .*codes is '0'"):
        other.open_codes(identity)
    other.config = other.config.with_autoencoder(
        type(AUTOENCODER)(**{**vars(AUTOENCODER), "latent_sizes": (8,), "image_size": 16})
    )
    with pytest.raises(InputError, match=r"maps of the sizes \(4, 8\) \(top, bottom\), but"):
        other.open_codes(identity)
