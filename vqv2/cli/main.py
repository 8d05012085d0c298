"""The command `vqv2`: finds the sub-command, runs it, and turns errors into one sentence."""

import argparse
import contextlib
import importlib
import io
import os
import signal
import sys

import backends
from backends import BackendError
from backends.process import device_memory
from vqv2.cli import processes
from vqv2.cli.arguments import Parser
from vqv2.cli.compiling import compilation_shown
from vqv2.errors import InputError
from vqv2.starting import STATUS, be_interrupted
from vqv2.terminal import guarded, printable
from vqv2.training import TrainingError
from vqv2.training.parallel import ReplicaError
from vqv2.training.signals import terminable
from vqv2.version import __version__

COMMANDS = (  # in the order of `vqv2 --help`; each is a module of this package
    "demo",
    "data",
    "train",
    "encode",
    "sample",
    "play",
    "reconstruct",
    "evaluate",
    "reject",
    "ablate",
    "doctor",
    "config",
    "compact",
    "pretrained",
    "import",
    "export",
    "info",
    "plan",
    "bench",
)
MODULES = {"import": "import_weights", "export": "export_weights"}  # of another name

EXAMPLES = """\
examples:
  vqv2 demo
  vqv2 pretrained
  vqv2 train autoencoder --data photos/ --preset imagenet256 --out runs/photos
  vqv2 encode runs/photos
  vqv2 train prior runs/photos --level top
  vqv2 train prior runs/photos --level bottom
  vqv2 sample runs/photos --count 16 --class dog --temperature 0.95 --out dogs.png
  vqv2 evaluate runs/photos
"""


def build_parser(commands=COMMANDS):
    """The argument parser of `vqv2` with these of its sub-commands; only they are imported."""
    parser = Parser(
        prog="vqv2",
        description="VQ-VAE-2: train a hierarchy of discrete codes, and sample images from it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vqv2 {__version__}")
    parser.set_defaults(backend=None, memory_limit=None)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in commands:
        module = importlib.import_module(f"vqv2.cli.{MODULES.get(command, command)}")
        module.add_parser(subparsers)
    return parser


def asked_for(words):
    """The commands that a command line may mean: one, or all where it does not begin with one."""
    while words[:1] and words[0] in ("--backend", "--memory-limit"):
        words = words[2:]
    return words[:1] if words and words[0] in COMMANDS else COMMANDS


def main(arguments=None):
    """Run the command line; returns the exit status.

    0 when all went well, 1 when `vqv2 doctor` finds damage, 2 when something that was given cannot
    be used (one sentence on standard error), 130 when it was interrupted (Ctrl-C), 143 when it was
    terminated (SIGTERM). One of several processes that fails ends all of them.
    """
    be_interrupted()
    try:
        return processes.run(_main, arguments)
    except KeyboardInterrupt:
        return _complain("interrupted", STATUS)


def _main(arguments):
    _print_any_name(sys.stdout)
    with guarded():
        return _command(arguments)


def _command(arguments):
    words = sys.argv[1:] if arguments is None else arguments
    parsed = build_parser(asked_for(words)).parse_args(words)
    try:
        with _backend(parsed.backend), terminable(), compilation_shown():
            parsed.communicator = processes.communicator_for(parsed)  # chooses the device
            with _memory(parsed.memory_limit):
                return parsed.run(parsed) or 0
    except (InputError, BackendError, TrainingError, ReplicaError) as error:
        return _complain(error, 2)
    except KeyboardInterrupt as interruption:
        number = getattr(interruption, "number", signal.SIGINT)
        return _complain(interruption if interruption.args else "interrupted", 128 + number)
    except MemoryError as error:
        return _complain(f"not enough memory ({error}): use a smaller batch or model", 2)
    except BrokenPipeError:
        return 0  # the reader of our output has seen enough
    except OSError as error:
        # Not all are about files: libraries that cannot be loaded have no error number.
        where = f"{error.filename or 'a file'}: " if error.strerror else ""
        return _complain(f"{where}{error.strerror or error}", 2)


@contextlib.contextmanager
def _backend(name):
    """Inside, backend `name` computes, also in processes that a command starts; None: no change."""
    if name is None:
        yield
        return
    former = os.environ.get("VQV2_BACKEND", "")  # empty means the same as not set
    with backends.use(name):
        os.environ["VQV2_BACKEND"] = name
        try:
            yield
        finally:
            os.environ["VQV2_BACKEND"] = former


@contextlib.contextmanager
def _memory(limit):
    """Inside, the device's memory is bounded, also in processes that a command starts."""
    former = os.environ.get(device_memory.VARIABLE)
    try:
        if limit:
            os.environ[device_memory.VARIABLE] = str(device_memory.limit_memory(limit))
        elif os.environ.get("VQV2_BACKEND") == "cupy" and not backends.why_unavailable("cupy"):
            device_memory.default_limit()
        yield
    finally:
        if limit and former is None:
            os.environ.pop(device_memory.VARIABLE, None)  # CuPy refuses an empty one
        elif limit:
            os.environ[device_memory.VARIABLE] = former


def _print_any_name(stream):
    """Files may have names that the terminal's encoding lacks: escape, as standard error does."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _complain(message, status):
    print(printable(f"vqv2: {message}"), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
