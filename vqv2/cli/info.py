"""`vqv2 info`: versions, backends, threads; with --preset, the sizes of its models."""

import importlib.metadata
import os
import platform

import backends
from vqv2.cli.arguments import add_command, check_count
from vqv2.lab import counting
from vqv2.lab.plan.models import models
from vqv2.models.prior import Prior
from vqv2.presets import PRESETS, preset
from vqv2.terminal import format_table

PACKAGES = (
    "vqv2",
    "numpy",
    "numba",
    "pillow",
    "tqdm",
    "matplotlib",
    "cupy-cuda12x",
    "cupy-cuda13x",
)


def add_parser(subparsers):
    """Add `info`."""
    parser = add_command(
        subparsers,
        "info",
        "versions, backends (and why one is not available), threads; parameters of a preset",
        ("vqv2 info", "vqv2 info --preset imagenet256 --classes 1000"),
        _info,
    )
    parser.add_argument("--preset", help=f"count the parameters of {', '.join(PRESETS)}")
    parser.add_argument("--classes", type=int, default=0, metavar="N", help="default: none")


def _info(arguments):
    if arguments.preset:
        print_parameters(preset(arguments.preset), arguments.classes)
        return
    print(f"Python {platform.python_version()} on {platform.platform()}")
    for package in PACKAGES:
        print(f"{package:12} {_version(package)}")
    print()
    selected = _selected_backend()
    for name in backends.BACKENDS:
        reason = backends.why_unavailable(name)
        state = "selected" if name == selected else "available"
        print(f"backend {name:10} {f'not available: {reason}' if reason else state}")
        if name == "cupy" and not reason:
            print(f"  {backends.device_description()}")
        for sentence in _numba_description() if name == "numba" and not reason else ():
            print(f"  {sentence}")
        for sentence in backends.missing_libraries() if name == "cupy" else ():
            print(f"  {sentence}")
    print(f"\n{os.cpu_count()} processor cores; threads are limited by")
    for variable in ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        print(f"  {variable:22} {os.environ.get(variable, 'not set: all cores')}")
    print(f"\nkernels in this process: {backends.compilation_summary()}")
    cached = backends.cached_kernels()
    print(f"kernels on disk: {sum(cached.values())}, in")
    for folder, count in cached.items():
        print(f"  {folder} ({count})")


def _numba_description():
    from backends import numba  # registers its kernels, which no other command needs to wait for

    return numba.description()


def _selected_backend():
    """The selected backend; None, with a sentence printed, when it cannot be used."""
    try:
        return backends.current()
    except backends.BackendError as error:
        print(f"the selected backend cannot be used: {error}")
        return None


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def print_parameters(config, classes):
    """A table of trained parameters per part of every model of a configuration.

    The models are built, and no weight is drawn. Raises `InputError` for less than no class.
    """
    check_count("--classes", classes, least=0)
    rows = []
    for name, case in models(config, classes).items():
        model = counting.model(case)
        if isinstance(model, Prior):
            rows += [(name, part, f"{count:,}") for part, count in model.parameter_table()]
        rows.append((name, "all", f"{model.parameter_count():,}"))
    print(format_table(("model", "part", "parameters"), rows))
