"""The parser of `vqv2` and of its commands, and what several commands' arguments have in common."""

import argparse
import sys

import backends
from backends.process import device_memory
from vqv2.config import nearest
from vqv2.errors import InputError

DATA_HELP = (
    "a folder of images (its sub-folders are the splits, or the classes), 12-bit:FOLDER, a pack "
    "(`vqv2 data pack`), a .npy or .npz file, emoji:SIZE[+FOLDER], or fashion-mnist[:FOLDER]"
)

CLASS_HELP = "a name, or a number from 0 up where no class is called by a number"
MOST_SAMPLES = 10_000_000  # eight times ImageNet; what is only asked for by mistake is above
MOST_AT_ONCE = 4096  # images side by side: of the paper's bottom prior they take 150 GB


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that takes the options of every command, before the command and after it.

    Beside a word that it does not know it says the nearest one: did you mean 'train'? The parsers
    of sub-commands are of this class, too.
    """

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        # Without a default, what stands before the command is not undone by the command's parser.
        every = self.add_argument_group(
            "options of every command", argument_default=argparse.SUPPRESS
        )
        every.add_argument(
            "--backend",
            choices=backends.BACKENDS,
            help="what computes: NumPy (reference), compiled loops (numba), an NVIDIA GPU (cupy); "
            "default: the variable VQV2_BACKEND, or numba",
        )
        every.add_argument(
            "--memory-limit",
            metavar="AMOUNT",
            help="of a device: 80%%, 20GiB, ... (default: "
            f"{device_memory.DEFAULT_LIMIT.replace('%', '%%')})",
        )

    def parse_known_args(self, args=None, namespace=None):
        """What argparse parses, of which nothing may be left that this parser does not know."""
        self._given = sys.argv[1:] if args is None else args
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def error(self, message):
        """End with a message, and the neighbour of the first option that is none."""
        options = [name for action in self._actions for name in action.option_strings]
        names = [word.partition("=")[0] for word in self._given if word.startswith("--")]
        mistyped = (n for n in names if not any(option.startswith(n) for option in options))
        meant = next((f" ({n}{nearest(n, options)})" for n in mistyped if nearest(n, options)), "")
        super().error(message + meant)

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            meant = nearest(str(value), names)
            raise argparse.ArgumentError(
                action, f"there is no {value!r} among {', '.join(names)}{meant}"
            )


def add_command(subparsers, name, summary, examples, run):
    """Add a sub-command with a help text that ends in examples; returns its parser."""
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=summary,
        epilog="examples:\n" + "\n".join(f"  {example}" for example in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_run(parser, what):
    """Add RUN, in a command that only reads it: `what` it has to be, or a name."""
    parser.add_argument(
        "run_folder",
        metavar="RUN",
        help=f"{what}, or the name of a hierarchy that comes with vqv2 (`vqv2 pretrained`)",
    )


def add_workers(parser):
    """Add `--workers`."""
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that read a folder's images, 0 for none (default: by cores and images)",
    )


def add_settings(parser, help_text, metavar="FIELD=VALUE"):
    """Add `--set`, for `parse_settings` to read."""
    parser.add_argument("--set", action="append", dest="settings", metavar=metavar, help=help_text)


def parse_settings(pairs):
    """["field=value", ...] -> {field: text}. Raises `InputError` for anything else."""
    settings = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f"--set {pair}: write field=value, such as hidden_units=64")
        settings[name.strip()] = value.strip()
    return settings


def check_seed(seed):
    """Raise `InputError` for a negative seed."""
    check_count("--seed", seed, least=0)


def check_count(option, value, most=None, least=1):
    """Raise `InputError` unless the value of an option is from `least` to `most`; None: no end."""
    if value < least:
        raise InputError(f"{option} {value} must be at least {least}")
    if most is not None and value > most:
        raise InputError(f"{option} {value} must be at most {most}")


def by_level(text, kind, name):
    """ "0.9" -> 0.9; "top=0.9,bottom=1" -> {"top": 0.9, "bottom": 1.0}, read as `kind`.

    Raises `InputError` for anything else, and for a level that is named twice.
    """
    try:
        if "=" not in text:
            return kind(text)
        pairs = [pair.split("=") for pair in text.split(",")]
        values = {level.strip(): kind(value) for level, value in pairs}
        if len(values) < len(pairs):
            raise ValueError("a level is named twice")
        return values
    except ValueError:
        raise InputError(
            f"--{name} {text} cannot be read: give a number, or one for each level as in "
            "top=0.9,bottom=1"
        ) from None
