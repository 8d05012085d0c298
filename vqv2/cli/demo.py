"""`vqv2 demo`: everything once, on packaged images."""

from vqv2.cli.arguments import add_command, check_seed
from vqv2.lab.demo import run_demo


def add_parser(subparsers):
    """Add `demo`."""
    parser = add_command(
        subparsers,
        "demo",
        "train a small hierarchy on emoji and sample from it: at most 10 minutes on two cores",
        ("vqv2 demo", "vqv2 demo --quick --out /tmp/demo"),
        _demo,
    )
    parser.add_argument("--quick", action="store_true", help="90 seconds, to see that it works")
    parser.add_argument("--out", default="demo", metavar="DIR", help="default: demo")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: 0")


def _demo(arguments):
    check_seed(arguments.seed)
    run_demo(arguments.out, arguments.quick, arguments.seed)
