"""`vqv2 play`: it prints an address, serves the page there, and ends with Ctrl-C."""

import signal
import sys
import urllib.error
import urllib.request

import pytest

from tests.processes import finish, started
from tests.small import train_all
from vqv2.cli.main import main
from vqv2.lab.play import PlayServer
from vqv2.run import Run, pretrained
from vqv2.run.compact import compact
from vqv2.training import Schedule


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    run, _ = train_all(tmp_path_factory.mktemp("play"), Schedule(progress=False))
    return str(run.folder)


def test_the_printed_address_has_the_page_until_ctrl_c(run_folder):
    command = [sys.executable, "-m", "vqv2", "--backend", "reference", "play", run_folder]
    with started([*command, "--no-browser"]) as process:
        assert process.stdout.readline() == f"{run_folder}: top 4 x 4, bottom 8 x 8\n"
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(address) as page:
            assert b"<title>vqv2 play</title>" in page.read()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(address.rsplit("/", 2)[0])
        process.send_signal(signal.SIGINT)
        status, output, errors = finish(process)
        assert (status, errors) == (0, "") and output.endswith("ended\n")


def test_what_comes_with_vqv2_is_played_by_its_name(run_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    compact(Run.open(run_folder), tmp_path / "small")
    told = []
    monkeypatch.setattr(PlayServer, "serve_forever", lambda self: told.append(self.model_view()))
    assert main(["--backend", "reference", "play", "small", "--no-browser"]) == 0
    assert capsys.readouterr().out.startswith("small: top 4 x 4, bottom 8 x 8\n")
    assert told[0]["name"] == "small" and told[0]["classes"] == ["0", "1", "2"]
    assert all(level["trained"] for level in told[0]["levels"])


@pytest.mark.parametrize("arguments, words", [
    (["nowhere"], "nowhere is not a run folder"), (["nowhere", "--port", "70000"], "0 (any free"),
])  # fmt: skip
def test_what_cannot_be_played_is_one_sentence(arguments, words, capsys):
    assert main(["play", *arguments, "--no-browser"]) == 2
    assert words in capsys.readouterr().err
