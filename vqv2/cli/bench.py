"""`vqv2 bench`: how fast, with how much memory, against the machine's limits and against a peer."""

import os
import sys

import backends
from backends import PRECISIONS
from backends.reference.packing import STORAGES
from vqv2.cli.arguments import add_command
from vqv2.errors import InputError
from vqv2.lab.bench import benchmarks
from vqv2.lab.bench.busy import busy
from vqv2.lab.bench.first_use import IMPORTS, demo_compilations, import_seconds
from vqv2.lab.bench.machine import measure_limits
from vqv2.lab.bench.measure import PEERS, Settings, Spread
from vqv2.lab.bench.reading import costs, limits_line, per_image, table, write_json
from vqv2.presets import PRESETS
from vqv2.terminal import format_table

EXAMPLES = (
    "vqv2 bench kernels --peer torch",
    "vqv2 bench train --peer torch --json train.json",
    "vqv2 bench train --busy 1",
    "vqv2 --backend cupy bench train --size device --precision bfloat16 --peer torch",
    "vqv2 bench sample --preset imagenet256 --classes 1000 --batch 1,32 --fraction 0.05",
    "vqv2 bench sample --storage both",
    "vqv2 bench encode --batch 1,8,32",
    "vqv2 bench memory --peer torch --full",
    "vqv2 bench scaling --threads 2",
    "vqv2 bench first-use --demo",
)


def add_parser(subparsers):
    """Add `bench` and what it can measure."""
    summary = "measure kernels, training, sampling and memory, next to PyTorch if you like"
    parser = add_command(subparsers, "bench", summary, EXAMPLES, None)
    kinds = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", required=True)
    kernels = _add(kinds, "kernels", "every kernel family, forward and backward", _kernels)
    train = _add(kinds, "train", "training steps of the autoencoder and of priors", _train)
    memory = _add(kinds, "memory", "peak memory of training steps", _memory)
    for chosen in (kernels, train, memory):
        chosen.add_argument(
            "--only", default="", metavar="TEXT", help="rows with this in their name"
        )
    train.add_argument(
        "--precision", default="float32", choices=PRECISIONS, help="of products (float32)"
    )
    memory.add_argument(
        "--full", action="store_true", help="one step of the full-size top prior, too: 10 GB"
    )
    _add_sample(kinds)
    encode = _add(kinds, "encode", "images to codes, with random weights", _encode)
    _add_preset(encode)
    encode.add_argument("--batch", default="4", metavar="N,...", help="images encoded at once (4)")
    scaling = _add(
        kinds, "scaling", "cost against batch, width, depth, map size, threads", _scaling
    )
    scaling.add_argument("--fraction", type=float, default=0.1, help="of rows sampled (0.1)")
    _add_first_use(kinds)


def _add(kinds, name, summary, run):
    parser = add_command(kinds, name, summary, [e for e in EXAMPLES if f" {name}" in e], _measure)
    parser.set_defaults(name=name, measure=run)
    parser.add_argument("--peer", choices=PEERS, help="measure this in turns with ours")
    parser.add_argument("--json", metavar="FILE", help="write the rows there, too")
    parser.add_argument(
        "--repetitions", type=int, default=5, metavar="N", help="timed runs of each side (5)"
    )
    parser.add_argument("--warmup", type=int, default=1, metavar="N", help="runs before them (1)")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), metavar="N", help="default: all cores"
    )
    parser.add_argument(
        "--busy",
        type=int,
        default=0,
        metavar="N",
        help="processes that compute beside the measurement, as a browser may (0)",
    )
    parser.add_argument(
        "--size",
        choices=("host", "device"),
        default="host",
        help="of the cases: for processors, or the paper's models and what fills a GPU (host)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="tiny sizes, to see that it works; figures mean nothing",
    )
    return parser


def _add_sample(kinds):
    parser = _add(kinds, "sample", "sampling a preset with random weights", _sample)
    _add_preset(parser)
    parser.add_argument("--classes", type=int, default=1000, metavar="N", help="default: 1000")
    parser.add_argument("--batch", default="1", metavar="N,...", help="images sampled together (1)")
    parser.add_argument(
        "--storage", default="float32", choices=(*STORAGES, "both"), help="of the weights (float32)"
    )
    parser.add_argument(
        "--fraction",
        type=float,
        default=0.05,
        metavar="F",
        help="share of the rows to sample, from the middle of each third of a map; the whole is "
        "extrapolated, and 1 measures it (0.05)",
    )


def _add_preset(parser):
    parser.add_argument(
        "--preset", default="imagenet256", choices=sorted(PRESETS), help="default: imagenet256"
    )


def _add_first_use(kinds):
    summary = "seconds to import; with --demo, kernels that two runs compile"
    examples = [e for e in EXAMPLES if "first-use" in e]
    parser = add_command(kinds, "first-use", summary, examples, _first_use)
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument(
        "--demo", action="store_true", help="run `vqv2 demo --quick` twice from an empty cache"
    )


def _measure(arguments):
    settings = Settings(
        arguments.threads,
        arguments.repetitions,
        arguments.warmup,
        arguments.peer,
        "tiny" if arguments.quick else arguments.size,
        getattr(arguments, "only", ""),
        arguments.busy,
    ).check()
    limits = measure_limits(settings, getattr(arguments, "precision", "float32"))
    print(limits_line(limits, settings.threads))
    if settings.busy:
        print(f"That was alone. All that follows is beside other work: --busy {settings.busy}")
    rows = []
    with busy(settings.busy):
        for row in arguments.measure(arguments, settings, limits):
            rows.append(row)
            print(f"{row.name}: {row.ours_s:.4g} s", file=sys.stderr)
            if arguments.json:  # after each row: what is interrupted later keeps what is measured
                write_json(arguments.json, arguments.name, rows, limits, settings)
    if not rows:
        raise InputError(f"--only {settings.only}: no row has that in its name")
    print(costs(rows) if arguments.name == "scaling" else table(rows))
    if arguments.name == "sample":
        print(per_image(rows))


def _kernels(arguments, settings, limits):
    return benchmarks.kernels(settings, limits)


def _train(arguments, settings, limits):
    offered = ("float32", "tf32", "bfloat16") if backends.current() == "cupy" else ("float32",)
    if arguments.peer and arguments.precision not in offered:
        raise InputError(f"--precision {arguments.precision}: there is no peer to measure it with")
    return benchmarks.train(settings, limits, arguments.precision)


def _memory(arguments, settings, limits):
    return benchmarks.memory(settings, limits, arguments.full)


def _scaling(arguments, settings, limits):
    return benchmarks.scaling(settings, limits, arguments.fraction)


def _sample(arguments, settings, limits):
    return benchmarks.sample(
        settings,
        limits,
        arguments.preset,
        arguments.classes,
        _numbers("batch", arguments.batch),
        arguments.fraction,
        STORAGES if arguments.storage == "both" else (arguments.storage,),
    )


def _encode(arguments, settings, limits):
    batches = _numbers("batch", arguments.batch)
    return benchmarks.encode(settings, limits, arguments.preset, batches)


def _numbers(name, text):
    """The whole numbers in the text of an option."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--{name} {text}: write numbers, such as 1,32") from None
    if min(numbers) < 1:
        raise InputError(f"--{name} {text} must be at least 1")
    return numbers


def _first_use(arguments):
    if arguments.repetitions < 1:
        raise InputError(f"--repetitions {arguments.repetitions} must be at least 1")
    rows = []
    for module in IMPORTS:
        spread = Spread.of(import_seconds(module, arguments.repetitions))
        figures = (spread.median, spread.minimum, spread.maximum)
        rows.append([f"import {module}", *(f"{seconds:.3f}" for seconds in figures)])
    print(format_table(("what", "median s", "least", "most"), rows))
    if arguments.demo:
        rows = [
            [f"run {number}", f"{seconds:.0f}", compiled, loaded]
            for number, (seconds, compiled, loaded) in enumerate(demo_compilations(), 1)
        ]
        print(format_table(("demo --quick", "s", "kernels compiled", "loaded from cache"), rows))
