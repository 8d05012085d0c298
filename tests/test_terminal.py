"""Nothing that comes from a name is obeyed by the terminal, and bars still are."""

import logging
import sys
import warnings

import pytest
from PIL import Image

from vqv2.cli.main import main
from vqv2.errors import InputError
from vqv2.terminal import format_table, guarded, printable, progress_bar

HOSTILE = "\x1b]0;TITLE\x07\x1b[31mred\u202egnp.\u2066\u200b\r\x9b2J\u2028\udcff"
ESCAPED = r"\x1b]0;TITLE\x07\x1b[31mred\u202egnp.\u2066\u200b\r\x9b2J\u2028\udcff"
READABLE = "été & 日本語 привет עברית مى\u200cخواهم 👩\u200d🚀\u3000ß"


def test_what_a_terminal_obeys_is_escaped_and_letters_stay():
    assert printable(HOSTILE) == ESCAPED
    assert printable("a\nvqv2: forged\tx") == r"a\nvqv2: forged\tx"
    assert printable(READABLE) == READABLE
    assert len(format_table(("class",), [("a\nforged",)]).splitlines()) == 3


def test_streams_and_warnings_are_guarded_and_come_back(capsys):
    former = sys.stdout, sys.stderr, warnings.formatwarning
    with guarded():
        print(HOSTILE, READABLE, "table\n\tof two lines")
        print(HOSTILE, file=sys.stderr)
        warning = warnings.formatwarning(f"{HOSTILE}\n!", RuntimeWarning, "a\x1b.py", 7)
    out, error = capsys.readouterr()
    assert out == f"{ESCAPED} {READABLE} table\n\tof two lines\n"
    assert error == f"{ESCAPED}\n"
    assert warning == rf"vqv2: {ESCAPED}\n! (RuntimeWarning, a\x1b.py, line 7)" + "\n"
    assert (sys.stdout, sys.stderr, warnings.formatwarning) == former


def test_what_pillow_warns_of_or_logs_without_a_name_is_not_printed(capsys):
    with guarded():
        warnings.warn_explicit("a bomb", UserWarning, "Image.py", 7, module="PIL.Image")
    assert capsys.readouterr().err == ""
    assert logging.getLogger("PIL").handlers  # without any, Python prints what is logged


def test_a_bar_moves_the_cursor_and_makes_room_for_what_is_printed(capsys):
    with guarded(), progress_bar(9, "a\x1bb", "step") as bar:
        bar.update(3)
        bar.write("between", file=sys.stderr)
    error = capsys.readouterr().err
    assert "\ra\\x1bb:" in error and "\x1b" not in error
    assert "\rbetween\n" in error  # the bar was taken away before


def test_commands_print_no_name_raw(tmp_path, capsys, monkeypatch):
    name = "\x1b[31mred\n\u202e"
    (tmp_path / name).mkdir()
    Image.new("L", (9, 9)).save(tmp_path / name / f"good{name}.png")
    (tmp_path / name / f"bad{name}.png").write_bytes(b"no image")
    assert main(["data", "index", str(tmp_path)]) == 0
    out, _ = capsys.readouterr()
    assert "bad\\x1b[31mred\\n\\u202e.png: it is not" in out
    assert "1 classes: \\x1b[31mred\\n\\u202e 1\n" in out and "\x1b" not in out
    monkeypatch.setattr("vqv2.cli.data.open_tree", _fail)
    assert main(["data", "index", name]) == 2
    assert capsys.readouterr().err == "vqv2: \\x1b[31mred\\n\\u202e is no folder\n"


def _fail(folder, *arguments):
    raise InputError(f"{folder} is no folder")


@pytest.mark.parametrize("option", [["--nonsense\x1b[31m"], ["--\x1b]0;x\x07"]])
def test_complaints_of_the_parser_are_guarded(option, capsys):
    with pytest.raises(SystemExit):
        main(["data", "index", "x", *option])
    error = capsys.readouterr().err
    assert "\x1b" not in error and r"\x1b" in error
