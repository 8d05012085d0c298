"""A trained run from Python: encode, decode, sample, and mismatched parts."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import vqv2
from tests.small import CONFIG, train_all
from vqv2 import Hierarchy, pipeline
from vqv2.errors import InputError
from vqv2.files import ArrayFile
from vqv2.run import Run, checkpoint
from vqv2.run.codes import open_codes
from vqv2.run.folder import FORMAT
from vqv2.training import Schedule, encode_dataset

QUIET = Schedule(progress=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder with everything trained for a few steps, and its sources."""
    return train_all(tmp_path_factory.mktemp("trained"), QUIET)


@pytest.fixture
def copy(trained, tmp_path):
    """The same run in a folder that a test may damage."""
    shutil.copytree(trained[0].folder, tmp_path / "run")
    return Run.open(tmp_path / "run")


def test_codes_on_disk_are_those_of_the_loaded_hierarchy(trained):
    run, sources = trained
    hierarchy = vqv2.Hierarchy.load(run.folder)
    store = open_codes(run.codes_folder, hierarchy.identity)
    for split, source in sources.items():
        codes = hierarchy.encode(source.batch(np.arange(len(source))))
        np.testing.assert_array_equal(store.labels(split), source.labels)
        for level in ("top", "bottom"):
            np.testing.assert_array_equal(store.codes(split, level), codes[level])
            assert store.codes(split, level).dtype == np.uint16
            assert isinstance(store.codes(split, level), ArrayFile)


def test_weights_that_are_no_numbers_are_named_instead_of_encoded(trained, tmp_path):
    run, sources = trained
    model, identity = run.load_autoencoder()
    model.encoders[1].refinement.convolution.weight.array[...] = np.nan
    with pytest.raises(InputError, match="images 0 to [0-9]+ of .*: level top: .* NaN"):
        encode_dataset(model, identity, sources, tmp_path / "codes", progress=False)


def test_copies_of_the_training_codes_are_augmented_anew_but_the_first(trained, tmp_path):
    run, sources = trained
    model, identity = run.load_autoencoder()
    for name, batch in (("one", None), ("again", 5)):  # whatever the batch
        how = {"copies": 3, "batch": batch, "progress": False}
        encode_dataset(model, identity, sources, tmp_path / name, **how)
    encode_dataset(model, identity, sources, tmp_path / "other", copies=3, seed=1, progress=False)
    plain, one = open_codes(run.codes_folder), open_codes(tmp_path / "one")
    count = plain.counts["train"]
    assert one.counts == {**plain.counts, "train": 3 * count}
    np.testing.assert_array_equal(one.labels("train"), np.tile(plain.labels("train"), 3))
    for level in one.levels:
        np.testing.assert_array_equal(one.codes("held_out", level), plain.codes("held_out", level))
        first, second, third = np.split(one.codes("train", level)[:], 3)
        np.testing.assert_array_equal(first, plain.codes("train", level))
        assert (second != first).any() and (third != second).any()
    assert open_codes(tmp_path / "again").checksum == one.checksum
    assert open_codes(tmp_path / "other").checksum != one.checksum


def test_copies_that_would_all_be_the_same_are_refused(trained, tmp_path):
    run, sources = trained
    model, identity = run.load_autoencoder()
    with pytest.raises(InputError, match="copies 0 must be from 1 to 10000"):
        encode_dataset(model, identity, sources, tmp_path / "codes", copies=0, progress=False)
    model.config = dataclasses.replace(model.config, augmentation="none")
    with pytest.raises(InputError, match="all be the same.*without augmentation"):
        encode_dataset(model, identity, sources, tmp_path / "codes", copies=2, progress=False)
    assert not (tmp_path / "codes").exists()


def test_encode_is_the_same_in_batches_and_decode_gives_images(trained):
    run, sources = trained
    hierarchy = Hierarchy.load(run.folder)
    images = sources["train"].batch(np.arange(5))
    codes = hierarchy.encode(images)
    for level, array in hierarchy.encode(images, batch=2).items():
        np.testing.assert_array_equal(array, codes[level])
    assert {level: array.shape for level, array in codes.items()} == {
        "top": (5, 4, 4),
        "bottom": (5, 8, 8),
    }
    decoded = hierarchy.decode(codes, batch=2)
    assert decoded.shape == images.shape and decoded.dtype == np.float32
    assert decoded.min() >= 0 and decoded.max() <= 1
    np.testing.assert_allclose(decoded, hierarchy.decode(codes), atol=1e-6)
    assert (hierarchy.decode(codes, levels=["top"]) != decoded).any()


def test_sampling_is_seeded_and_class_conditional(trained):
    hierarchy = Hierarchy.load(trained[0].folder)
    first = hierarchy.sample(3, label="1", temperature=0.9, seed=5)
    assert first.shape == (3, 16, 16, 3)
    np.testing.assert_array_equal(first, hierarchy.sample(3, label=1, temperature=0.9, seed=5))
    # Hardly trained: with the same noise, the class changes only a few codes of many.
    other = hierarchy.sample_codes(48, label=[0, 2] * 24, seed=5, batch=48)
    assert (other["top"] != hierarchy.sample_codes(48, label=1, seed=5, batch=48)["top"]).any()
    assert set(hierarchy.sample_codes(2)) == {"top", "bottom"}


def test_sampling_from_given_top_codes_and_by_level_settings(trained):
    hierarchy = Hierarchy.load(trained[0].folder)
    top = np.random.default_rng(0).integers(0, 12, (2, 4, 4))
    codes = hierarchy.sample_codes(
        2, label=0, given={"top": top}, temperature={"top": 1.0, "bottom": 0.5}, top_k=3
    )
    np.testing.assert_array_equal(codes["top"], top)
    naive = hierarchy.sample_codes(
        2, 0, given={"top": top}, temperature={"top": 1.0, "bottom": 0.5}, top_k=3, method="naive"
    )
    np.testing.assert_array_equal(naive["bottom"], codes["bottom"])


def test_a_sample_depends_on_the_seed_and_its_number_alone(trained):
    hierarchy = Hierarchy.load(trained[0].folder)
    whole = hierarchy.sample_codes(7, seed=1, batch=2)
    rest = hierarchy.sample_codes(7, seed=1, batch=4, first=3)
    below = hierarchy.sample_codes(7, seed=1, batch=7, given={"top": whole["top"]})
    for level in whole:
        np.testing.assert_array_equal(rest[level], whole[level][3:])
        np.testing.assert_array_equal(below[level], whole[level])
    assert len(hierarchy.sample(7, seed=1, batch=2, first=6)) == 1
    assert list(hierarchy.sample_batches(7, batch=2, first=7)) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": "cat"}, "no class 'cat'"),
        ({"label": 3}, "no class 3"),
        ({"label": [0]}, "1 labels were given for 2"),
        ({"label": 0, "temperature": -1}, "temperature"),
        ({"label": 0, "temperature": 1e-50}, "temperature"),
        ({"label": 0, "batch": 0}, "batch 0"),
        ({"label": 0, "seed": -1}, "seed -1"),
        ({"label": 0, "batch": 1.5}, "batch 1.5 must be a whole number"),
        ({"label": 1.0}, "no class 1.0"),
        ({"label": "²"}, "no class"),
        ({"label": 0, "temperature": "1"}, "temperature '1' must be a number"),
        ({"label": 0, "top_k": 1.5}, "top-k 1.5 must be a whole number"),
        ({"label": 0, "top_p": {"top": None, "bottom": 1}}, "top-p None must be a number"),
        ({"label": 0, "temperature": {"top": 1}}, "given for top, but the levels are top, bottom"),
        ({"label": 0, "given": {"left": np.zeros((2, 4, 4), int)}}, "no level 'left'"),
        ({"label": 0, "given": {"top": np.zeros((1, 4, 4), int)}}, r"shape \(1, 4, 4\)"),
        ({"label": 0, "given": {"top": np.full((2, 4, 4), 99)}}, "99"),
        ({"label": 0, "given": {"top": [[0], [1, 2]]}}, "several lengths"),
        ({"label": 0, "given": np.zeros((2, 4, 4), int)}, "given must be a dictionary.*top, bot"),
        ({"label": 0, "given": []}, "dictionary .* not list"),
        ({"seed": True}, "seed True must be a whole number"),
        ({"first": 3}, "first 3 must be at most 2"),
        ({"levels": "top"}, r"levels 'top' cannot be drawn: give a list .* such as \['top'\]"),
        ({"levels": ["bottom"]}, r"levels \['bottom'\] cannot be drawn"),
        ({"levels": ["left"]}, "no level 'left': the levels are top, bottom"),
        ({"levels": 2}, "levels 2 cannot be drawn"),
        (
            {"levels": ["top"], "given": {"bottom": np.zeros((2, 8, 8), int)}},
            "codes of bottom were given, but what is drawn is top alone",
        ),
    ],
)
def test_wrong_requests_are_one_sentence(trained, arguments, message):
    with pytest.raises(InputError, match=message):
        Hierarchy.load(trained[0].folder).sample_codes(2, **arguments)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), r"\(2, 8, 8, 3\)"),
        (np.zeros((16, 16, 3), np.float32), "expected"),
        (np.zeros((0, 16, 16, 3), np.float32), "no images"),
        (np.zeros((2, 16, 16, 3), np.uint8), "uint8"),
        (np.full((2, 16, 16, 3), 255.0), "from 0 to 1"),
        (np.full((2, 16, 16, 3), np.nan), "NaN"),
        ([np.zeros((16, 16, 3)), np.zeros((8, 8, 3))], "several shapes"),
    ],
)
def test_wrong_images_are_one_sentence(trained, images, message):
    with pytest.raises(InputError, match=message):
        Hierarchy.load(trained[0].folder).encode(images)


@pytest.mark.parametrize(
    ("codes", "levels", "message"),
    [
        (np.zeros((2, 4, 4), int), None, "codes must be a dictionary .* not ndarray"),
        (None, None, "not NoneType"),
        ({"top": 3, "bottom": 4}, None, r"codes of top must be an array \(N, size, size\)"),
        ({"top": [[0], [1, 2]], "bottom": 4}, None, "codes of top must be an array"),
        ({"top": np.zeros((2, 4, 4), int)}, "top", "levels 'top' must be a list"),
        ({"top": np.zeros((2, 4, 4), int)}, None, "codes of level bottom are missing"),
        ({"top": np.zeros((2, 4, 4), int), "b": 1}, ["top"], "no level 'b': the levels are top"),
        (
            {"top": np.zeros((40, 4, 4), int), "bottom": np.zeros((33, 8, 8), int)},
            None,
            "several numbers of images: 40 of top, 33 of bottom",
        ),
    ],
)
def test_wrong_codes_are_one_sentence(trained, codes, levels, message):
    with pytest.raises(InputError, match=message):
        Hierarchy.load(trained[0].folder, priors=False).decode(codes, levels)


@pytest.mark.parametrize("batch", [0, -1, 1.5, "2"])
def test_a_batch_that_makes_no_sense_is_one_sentence(trained, batch):
    hierarchy = Hierarchy.load(trained[0].folder, priors=False)
    images = np.zeros((2, 16, 16, 3), np.float32)
    with pytest.raises(InputError, match="batch"):
        hierarchy.encode(images, batch=batch)
    with pytest.raises(InputError, match="batch"):
        hierarchy.decode(hierarchy.encode(images), batch=batch)


def test_codes_of_another_autoencoder_are_refused(copy, trained):
    _, sources = trained
    shutil.rmtree(copy.stage_folder("autoencoder"))
    pipeline.train_autoencoder(copy, sources, seed=1, schedule=QUIET)
    with pytest.raises(InputError, match="another autoencoder"):
        pipeline.train_prior(copy, "top", resume=True, schedule=QUIET)
    with pytest.raises(InputError, match="another autoencoder"):
        Hierarchy.load(copy.folder)
    Hierarchy.load(copy.folder, priors=False)


def test_priors_remember_the_configuration_that_they_were_trained_with(copy):
    """Another number of heads has the same shapes: config.json alone must not decide."""
    expected = Hierarchy.load(copy.folder).sample_codes(2, label=0)
    for path in (copy.folder / "config.json", copy.stage_folder("prior-top") / "training.json"):
        path.write_text(path.read_text().replace('"attention_heads": 2', '"attention_heads": 4'))
    again = Hierarchy.load(copy.folder)
    assert again.priors["top"].config.attention_heads == 2
    np.testing.assert_array_equal(again.sample_codes(2, label=0)["top"], expected["top"])
    with pytest.raises(InputError, match="attention_heads is 2, not 4"):
        pipeline.train_prior(Run.open(copy.folder), "top", resume=True, schedule=QUIET)


def test_a_prior_is_not_continued_on_other_codes_of_the_same_autoencoder(copy, trained):
    _, sources = trained
    swapped = {"train": sources["held_out"], "held_out": sources["train"]}
    shutil.rmtree(copy.codes_folder)  # while they are there, others are refused
    pipeline.extract_codes(copy, swapped, progress=False)
    with pytest.raises(InputError, match="has learned other codes than those"):
        pipeline.train_prior(copy, "top", resume=True, schedule=QUIET)


def test_given_maps_need_no_prior(copy):
    shutil.rmtree(copy.stage_folder("prior-top"))
    top = np.zeros((2, 4, 4), int)
    codes = Hierarchy.load(copy.folder).sample_codes(2, label=0, given={"top": top})
    np.testing.assert_array_equal(codes["top"], top)


def test_a_damaged_manifest_is_one_sentence(copy):
    path = copy.codes_folder / "manifest.json"
    path.write_text(path.read_text().replace('"train": 2', '"train": 1'))
    with pytest.raises(InputError, match="manifest.json is damaged"):
        open_codes(copy.codes_folder)


def test_a_prior_is_not_taken_for_an_autoencoder(copy):
    shutil.copy(copy.checkpoint_path("prior-top"), copy.checkpoint_path("autoencoder"))
    with pytest.raises(InputError, match="prior-top"):
        Hierarchy.load(copy.folder)


def test_a_checkpoint_of_another_size_is_refused(copy):
    arrays, metadata = checkpoint.load(copy.checkpoint_path("autoencoder"))
    name = "average.projections.0.linear.weight"
    arrays[name] = arrays[name][:, :3]
    checkpoint.save(copy.checkpoint_path("autoencoder"), arrays, metadata)
    with pytest.raises(InputError, match="projections.0.linear.weight has shape"):
        Hierarchy.load(copy.folder)


def test_sampling_without_a_prior_says_which_is_missing(copy):
    shutil.rmtree(copy.stage_folder("prior-bottom"))
    with pytest.raises(InputError, match="bottom is not trained"):
        Hierarchy.load(copy.folder).sample(1, label=0)


def test_damaged_codes_are_noticed(copy):
    path = copy.codes_folder / "train-top.npy"
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="train-top.npy is damaged"):
        pipeline.train_prior(copy, "top", resume=True, schedule=QUIET)


def test_an_error_while_encoding_is_not_blamed_on_the_disk(trained, tmp_path, monkeypatch):
    run, sources = trained
    model, identity = run.load_autoencoder()

    def fail(*_):
        raise OSError("Could not load shared object file")

    monkeypatch.setattr(model, "encode", fail)
    with pytest.raises(OSError, match="^Could not load"):
        encode_dataset(model, identity, sources, tmp_path / "codes", progress=False)


def test_a_failed_extraction_leaves_the_former_codes(copy, trained, monkeypatch):
    _, sources = trained

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vqv2.run.code_writing._Maps.write", fail)
    with pytest.raises(InputError, match="cannot write codes to .*: No space left on device"):
        pipeline.extract_codes(copy, sources, progress=False)
    open_codes(copy.codes_folder)


@pytest.mark.parametrize("text", ["", "{}", '{"format": "vqv2 run 1"}', "[1"])
def test_a_damaged_run_folder_is_one_sentence(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json"):
        Run.open(tmp_path)
    with pytest.raises(InputError, match="not a run folder"):
        Run.open(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": [{"name": "cat"}]}, "its 'class_names'.0 is .*, not text"),
        ({"class_names": "cat"}, "its 'class_names' is 'cat', not a list"),
        ({"data": None}, "its 'data' is None, not text"),
        ({"config": {}}, "its 'config' lacks 'name'"),
        ({"config": {**CONFIG.as_dict(), "conditional": 1}}, "is 1, not true or false"),
        ({"config": {**CONFIG.as_dict(), "priors": []}}, "0 priors for the levels top, bottom"),
    ],
)
def test_a_config_json_that_does_not_fit_is_named(tmp_path, change, message):
    content = {"format": FORMAT, "data": "d", "class_names": [], "config": CONFIG.as_dict()}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    Run.open(tmp_path)
    path.write_text(json.dumps({**content, **change}))
    with pytest.raises(InputError, match=message) as raised:
        Run.open(tmp_path)
    assert str(path) in str(raised.value)
