"""`vqv2 plan`: what training and sampling would take on a GPU, predicted."""

import dataclasses

from vqv2.cli.arguments import add_command, check_count
from vqv2.config import AUTO, PRECISION
from vqv2.errors import InputError
from vqv2.lab.plan import measured, roofline, sampling, scaling, training
from vqv2.lab.plan.device import DEVICES, GIB, device
from vqv2.lab.plan.models import models
from vqv2.presets import PRESETS, preset
from vqv2.terminal import format_table

DEVICES_OF_A_MACHINE = 8
DAY = 86400  # seconds


def add_parser(subparsers):
    """Add `plan`."""
    parser = add_command(
        subparsers,
        "plan",
        "predict memory and time on a GPU from counted work and published figures",
        (
            "vqv2 plan --preset imagenet256 --classes 1000 --device h100",
            "vqv2 plan --preset ffhq1024 --device rtx4090 --precision tf32 --sampling-batch 16",
            "vqv2 plan --preset imagenet256 --device a100 --devices 16 --link infiniband200",
            "vqv2 plan --preset imagenet256 --device h100 --measured results/speed.jsonl",
        ),
        _plan,
    )
    parser.add_argument("--preset", required=True, help=f"one of {', '.join(PRESETS)}")
    parser.add_argument("--device", required=True, help=f"one of {', '.join(DEVICES)}")
    parser.add_argument("--classes", type=int, default=0, metavar="N", help="default: none")
    parser.add_argument(
        "--precision", default=AUTO, help=f"of products: {', '.join(PRECISION)} ({AUTO})"
    )
    parser.add_argument("--batch", type=int, metavar="N", help="default: the paper's")
    parser.add_argument("--sampling-batch", type=int, default=32, metavar="N", help="default: 32")
    parser.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help=f"beside one alone (default: {DEVICES_OF_A_MACHINE}, where the batches allow it)",
    )
    parser.add_argument(
        "--link", help=f"between them: one of {', '.join(scaling.LINKS)} (default: the device's)"
    )
    parser.add_argument(
        "--measured",
        metavar="FILE",
        help="the speed.jsonl of tests/device/run.sh speed, measured on such a device: takes the "
        "place of what is assumed",
    )


def _plan(arguments):
    _check(arguments)
    on = device(arguments.device)
    arguments.precision = on.precision(arguments.precision)
    link = scaling.link(arguments.link or on.link)
    shares = measured.shares(arguments.measured, on) if arguments.measured else roofline.ASSUMED
    cases = models(preset(arguments.preset), arguments.classes)
    print(f"A PREDICTION for {on.name} with products in {arguments.precision}: counted work at")
    print("shares of published speed that are assumed (the last table).\n")
    for count in _devices(arguments, cases):
        _print_training(cases, on, link, count, arguments, shares)
    _print_sampling(cases, on, arguments.sampling_batch, shares)
    _print_shares(on, shares)


def _check(arguments):
    for name in ("classes", "batch", "sampling_batch", "devices"):
        if (value := getattr(arguments, name)) is not None:
            least = 0 if name == "classes" else 1
            check_count(f"--{name.replace('_', '-')}", value, least=least)
    if arguments.precision not in PRECISION:
        raise InputError(f"--precision {arguments.precision} must be one of {', '.join(PRECISION)}")


def _devices(arguments, cases):
    """Numbers of devices to predict for. Raises `InputError` where the given one cannot be."""
    batches = [_batch(case, arguments) for case in cases.values()]
    if arguments.devices is None:
        many = all(batch % DEVICES_OF_A_MACHINE == 0 for batch in batches)
        return (1, DEVICES_OF_A_MACHINE) if many else (1,)
    for batch in batches:
        scaling.share_of(batch, arguments.devices)
    return sorted({1, arguments.devices})


def _batch(case, arguments):
    return arguments.batch or case.config.batch


_WAYS = (
    "model", "images each", "--accumulate", "recompute", "GiB in use", "GiB of pool",
    "s computing", "s sending", "s per step", "images/s", "days for all steps",
)  # fmt: skip


def _print_training(cases, on, link, count, arguments, shares):
    """A row for each way to compute a step, and what follows from them."""
    rows, sentences = [], []
    for name, case in cases.items():
        batch = _batch(case, arguments)
        share = scaling.share_of(batch, count)
        found = training.ways(case, share, on, arguments.precision, shares)
        steps = [_Step(way, batch, count, link) for way in found]
        rows += [(name, *step.cells()) for step in steps]
        sentences += _advice(name, steps)
    devices = "1 device" if count == 1 else f"{count} devices, sums over {link.name}"
    print(f"training on {devices}:")
    print(format_table(_WAYS, rows))
    print("".join(f"{sentence}\n" for sentence in sentences))


class _Step:
    """One way to take a training step, on one device or several."""

    def __init__(self, way, batch, devices, link):
        self.way, self.batch = way, batch
        sizes = scaling.messages(way.case, devices, way.parts) if devices > 1 and way.fits else []
        self.sending = scaling.sending_seconds(sizes, devices, link)
        self.seconds = way.seconds + self.sending

    @property
    def name(self):
        """As a user asks for it."""
        parts = [f"--accumulate {self.way.parts}"] if self.way.parts > 1 else []
        return " ".join([*parts, *["--set recompute=true"] * self.way.recompute]) or "as it is"

    def cells(self):
        """What the table shows."""
        way, counts = self.way, self.way.counts
        fixed = (way.case.batch * way.parts, way.parts, "yes" if way.recompute else "no")
        memory = f"{counts.live / GIB:.3g}", f"{counts.pooled / GIB:.3g}"
        if not way.fits:
            return (*map(str, fixed), *memory, "does not fit", *["-"] * 4)
        figures = (way.seconds, self.sending, self.seconds, self.batch / self.seconds)
        days = self.seconds * way.case.config.steps / DAY
        return (*map(str, fixed), *memory, *(f"{n:.3g}" for n in figures), f"{days:.1f}")


def _advice(name, steps):
    """Sentences on the fastest way that fits, and on what it needs."""
    fitting = sorted((step for step in steps if step.way.fits), key=lambda step: step.seconds)
    if not fitting:
        yield f"{name}: not even one image fits"
        return
    best, *others = fitting
    for other in others:
        less = 1 - best.seconds / other.seconds
        yield f"{name}: {best.name} takes {less:.0%} less time than {other.name}"
    if name == "autoencoder":
        yield f"{name}: the data have to deliver {best.batch / best.seconds:.0f} images/s"
    elif best.way.parts > 1 and best.way.case.coarser:
        yield f"{name}: batch normalisation then looks at one part of {best.way.case.batch}"


def _print_sampling(cases, on, batch, shares):
    rows = []
    for name, case in cases.items():
        if name == "autoencoder":
            continue
        case = dataclasses.replace(case, batch=batch)
        seconds = [sampling.seconds_per_map(case, on, shares, s) for s in ("float32", "bfloat16")]
        rows.append((name, str(case.size**2), *(f"{n:.3g}" for n in seconds)))
    print(f"sampling {batch} images side by side:")
    titles = ("model", "positions", "s per image", "s, weights in bfloat16")
    print(format_table(titles, rows) + "\n")


def _print_shares(on, shares):
    rows = []
    for family, share in shares.items():
        of_products = family.startswith("products, ")
        published = on.speed(family.removeprefix("products, ")) if of_products else on.float32
        computed = f"{share.speed:.2g}" if share.speed < 1 else "-"
        speed = f"{share.speed * published / 1e12:.3g}" if share.speed < 1 else "-"
        moved = f"{share.bandwidth * on.bandwidth / 1e9:.0f}"
        rows.append((family, f"{share.bandwidth:.2g}", moved, computed, speed, share.source))
    print(f"what is assumed, beside {roofline.START * 1e6:.0f} us from kernel to kernel and")
    print(f"{roofline.HOST * 1e6:.0f} us in which the host starts one:")
    titles = ("kernels", "of bandwidth", "GB/s", "of speed", "TFLOP/s", "source")
    print(format_table(titles, rows))
