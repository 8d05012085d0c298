"""The parser of `vqv2` and of its commands: what all of them take, and the nearest right word."""

import argparse
import sys

import backends
from backends.process import device_memory
from vqv2.config import nearest


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
