"""`vqv2 config show`, and configurations from TOML files."""

import json
import tomllib

import pytest

from tests.small import write_images
from vqv2.cli.main import main
from vqv2.cli.settings import changed, read_settings
from vqv2.errors import InputError
from vqv2.presets import PRESETS, preset
from vqv2.run import Run


def shown(capsys, *arguments):
    assert main(["config", "show", *map(str, arguments)]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_shown_is_the_preset_and_can_be_given_back(name, tmp_path, capsys):
    text = shown(capsys, name)
    path = tmp_path / "shown.toml"
    path.write_text(text)
    found, settings = read_settings(path)
    assert found == name
    blank = preset("demo" if name != "demo" else "ffhq1024")
    rebuilt = changed(blank, settings).as_dict()
    assert {**rebuilt, "name": name} == preset(name).as_dict()
    fields = [line for line in text.splitlines() if " = " in line and "preset =" not in line]
    assert all("  # " in line for line in fields)


def test_sources_name_the_table_of_the_preset(capsys):
    lines = [line.split("#") for line in shown(capsys, "ffhq1024").splitlines() if "#" in line]
    sources = {text.split("=")[0].strip(): source.strip() for text, source in lines[1:]}
    assert sources["image_size"] == "Table 3, Input size; pixels"
    assert sources["residual_units"] == "Table 2, Residual units"
    assert sources["warmup_steps"].startswith("section A.2")
    assert sources["second_kernel"].startswith("here")
    assert sources["attention_heads"].startswith("unused")  # the last one, of the bottom prior
    assert "Table 1, Dropout" in shown(capsys, "imagenet256")
    assert "# Table" not in shown(capsys, "demo")


def test_changes_are_marked(tmp_path, capsys):
    path = tmp_path / "a.toml"
    path.write_text("[prior.top]\ndropout = 0.2\n[autoencoder]\nbatch = 4\n")
    text = shown(capsys, "demo", "--config", path, "--set", "autoencoder.batch=12")
    former = preset("demo").autoencoder.batch
    assert "batch = 12" in text and f"given; the preset has {former}" in text
    assert tomllib.loads(text)["prior"]["top"]["dropout"] == 0.2


WRONG = {
    "[autoencodr]\n": "there is no 'autoencodr', did you mean 'autoencoder'",
    "[autoencoder]\nbach = 3\n": "there is no 'bach' in [autoencoder], did you mean 'batch'",
    "[prior.top]\ndroput = 0.1\n": "there is no 'droput' in [prior.top], did you mean 'dropout'",
    "[prior.tpo]\ndropout = 0.1\n": "there is no part 'tpo', did you mean 'top'",
    "[prior]\ndropout = 0.1\n": "prior.dropout must be a table",
    "prior = 3\n": "write [prior.top]",
    "autoencoder = 3\n": "autoencoder must be a table",
    '[autoencoder]\nbatch = "3"\n': "is text: leave the quotes out",
    "[autoencoder]\nbatch = 3.5\n": "batch is a whole number",
    "[autoencoder]\nbatch = true\n": "batch is a whole number",
    "[autoencoder]\nlearning_rate = true\n": "learning_rate is a number",
    "[autoencoder]\nlearning_rate = nan\n": "learning_rate=nan must be from 0 to 1e+30, but not 0",
    "[autoencoder]\nlatent_sizes = 8\n": "latent_sizes is whole numbers",
    "[autoencoder]\naugmentation = 1\n": "augmentation is text",
    "conditional = 3\n": "conditional is true or false",
    "preset = 3\n": "give its name in quotes",
    "[autoencoder\n": "is not a TOML file",
    "\xff": "is not a TOML file",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_file_is_one_sentence(text, tmp_path, capsys):
    path = tmp_path / "wrong.toml"
    path.write_bytes(text.encode("latin-1"))
    assert main(["config", "show", "demo", "--config", str(path)]) == 2
    error = capsys.readouterr().err
    assert WRONG[text] in error and len(error.splitlines()) == 1


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="nothing.toml cannot be read"):
        read_settings(tmp_path / "nothing.toml")


def test_a_whole_run_from_one_file(tmp_path, capsys):
    path, run = tmp_path / "run.toml", tmp_path / "run"
    path.write_text(
        """
        preset = "demo"
        [autoencoder]
        image_size = 16
        latent_sizes = [4, 8]
        hidden_units = 8
        residual_units = 4
        codebook_size = 12
        codebook_dimension = 6
        batch = 4
        steps = 1
        [prior.top]
        hidden_units = 8
        layers = 2
        batch = 4
        steps = 1
        dropout = 0.3
        """
    )
    data = write_images(tmp_path / "images.npz")
    train = ["--backend", "reference", "train"]
    given = ["--config", str(path)]
    first = [*train, "autoencoder", "--data", data, "--out", str(run), *given, "--resume"]
    assert main([*first, "--set", "bottom.dropout=0.4"]) == 0
    assert main(first) == 0  # the same file again changes nothing
    assert main(["--backend", "reference", "encode", str(run)]) == 0
    prior = [*train, "prior", str(run), "--level", "top"]
    assert main([*prior, *given, "--set", "attention_layers=1"]) == 0
    config = Run.open(run).config
    assert (config.prior("top").dropout, config.prior("top").attention_layers) == (0.3, 1)
    assert config.prior("bottom").dropout == 0.4
    assert json.loads((run / "prior-top" / "training.json").read_text())["config"]["layers"] == 2
    other = tmp_path / "other.toml"
    other.write_text("[autoencoder]\nhidden_units = 16\n")
    assert main([*train, "autoencoder", "--out", str(run), "--resume",
                     "--config", str(other)]) == 2  # fmt: skip
    assert "where hidden_units is 8, not 16" in capsys.readouterr().err
