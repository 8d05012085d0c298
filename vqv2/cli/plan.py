"""`vqv2 plan`: what training and sampling would take on a GPU, predicted."""

import math

from backends import PRECISIONS
from vqv2.cli.arguments import add_command
from vqv2.errors import InputError
from vqv2.lab.plan import device as plan
from vqv2.lab.plan import scaling
from vqv2.presets import PRESETS, preset
from vqv2.table import format_table


def add_parser(subparsers):
    """Add `plan`."""
    parser = add_command(
        subparsers,
        "plan",
        "predict memory and time on a GPU from counted operations and published figures",
        (
            "vqv2 plan --preset imagenet256 --classes 1000 --device a100",
            "vqv2 plan --preset ffhq1024 --device rtx4090 --precision tf32 --sampling-batch 16",
            "vqv2 plan --preset imagenet256 --device a100 --devices 8 --link nvlink3",
        ),
        _plan,
    )
    parser.add_argument("--preset", required=True, help=f"one of {', '.join(PRESETS)}")
    parser.add_argument("--device", required=True, help=f"one of {', '.join(plan.DEVICES)}")
    parser.add_argument("--classes", type=int, default=0, metavar="N", help="default: none")
    parser.add_argument(
        "--precision", default="float32", help=f"of products: {', '.join(PRECISIONS)}"
    )
    parser.add_argument("--batch", type=int, metavar="N", help="default: the paper's, if it fits")
    parser.add_argument("--sampling-batch", type=int, default=32, metavar="N", help="default: 32")
    parser.add_argument("--devices", type=int, default=1, metavar="N", help="default: 1")
    parser.add_argument(
        "--link", default="pcie4", help=f"between them: one of {', '.join(scaling.LINKS)}"
    )


def _plan(arguments):
    for name in ("classes", "batch", "sampling_batch", "devices"):
        value, least = getattr(arguments, name), 0 if name == "classes" else 1
        if value is not None and value < least:
            raise InputError(f"--{name.replace('_', '-')} {value} must be at least {least}")
    if arguments.precision not in PRECISIONS:
        raise InputError(
            f"--precision {arguments.precision} must be one of {', '.join(PRECISIONS)}"
        )
    config, device = preset(arguments.preset), plan.device(arguments.device)
    models = plan.models(config, arguments.classes)
    print(f"A PREDICTION for {device.name} with products in {arguments.precision}: counted work at")
    print(f"{plan.EFFICIENCY:.0%} of published speed, an assumption. Nobody has measured it.\n")
    for recomputed in (False, True):
        _print_training(models, device, arguments, recomputed)
    print("Memory is the same in every precision: weights, sums and activations stay float32.")
    if arguments.devices > 1:
        _print_scaling(models, device, arguments)
    _print_sampling(models, device, arguments)


def _print_training(models, device, arguments, recomputed):
    rows = []
    for name, counted, config, _ in models:
        batch = arguments.batch or config.batch
        needs = plan.training(counted, batch, device, arguments.precision, recomputed)
        rows.append(
            (
                name,
                *(_gib(n) for n in (needs.weights, needs.gradients, needs.adam, needs.polyak)),
                f"{needs.activations / 2**20:.0f}",
                f"{needs.working / 2**20:.0f}",
                str(needs.largest_batch),
                str(needs.batch or "-"),
                _seconds(needs.seconds),
            )
        )
    titles = ("weights", "gradients", "Adam", "Polyak", "MiB per image", "while computing")
    titles = (*titles, "largest batch")
    kind = "with recompute=true" if recomputed else "without activation recomputation"
    print(f"training {kind}, GiB:")
    print(format_table(("model", *titles, "batch", "s per step"), rows))


def _print_scaling(models, device, arguments):
    rows, devices, link = [], arguments.devices, scaling.link(arguments.link)
    for name, counted, config, _ in models:
        batch = arguments.batch or config.batch
        step = scaling.scaling(counted, config, batch, devices, device, link, arguments.precision)
        fits = not math.isnan(step.seconds)
        rows.append(
            (
                name,
                str(step.share),
                "yes" if step.recomputed else "no",
                _seconds(step.computing),
                f"{step.sent / 2**20:.0f}",
                f"{step.sending:.3g}",
                _seconds(step.seconds),
                f"{step.efficiency:.0%}" if fits else "-",
                f"{step.seconds * config.steps / 86400:.1f}" if fits else "-",
            )
        )
    print(f"\ntraining on {devices} devices, sums over {link.name} at")
    print(f"{scaling.LINK_EFFICIENCY:.0%} of published speed, not while the devices compute:")
    titles = ("images each", "recomputation", "s computing", "MiB sent", "s sending", "s per step")
    print(format_table(("model", *titles, "computing", "days for all steps"), rows))


def _print_sampling(models, device, arguments):
    rows, batch = [], arguments.sampling_batch
    for name, counted, prior, size in models[1:]:  # the priors
        seconds = plan.sampling_seconds(counted, prior, size**2, batch, device)
        weights = counted.parameters * plan.NUMBER
        rows.append((name, str(size**2), _gib(weights), _seconds(seconds)))
    print(f"\nsampling {batch} images side by side, in float32:")
    print(format_table(("model", "positions", "weights, GiB", "s per image"), rows))


def _gib(count):
    return f"{count / plan.GIB:.3g}"


def _seconds(seconds):
    return "does not fit" if math.isnan(seconds) else f"{seconds:.3g}"
