"""`vqv2 pretrained`: the trained hierarchies that come with vqv2, and the card of each."""

from vqv2.cli.arguments import add_command
from vqv2.run import pretrained
from vqv2.terminal import format_table


def add_parser(subparsers):
    """Add `pretrained`."""
    parser = add_command(
        subparsers,
        "pretrained",
        "list the trained hierarchies that come with vqv2, whose names any command takes where it "
        "takes a RUN; or print the card of one",
        ("vqv2 pretrained", "vqv2 pretrained emoji"),
        _pretrained,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="print the card of this one")


def _pretrained(arguments):
    """What a card says begins with a heading, which is what the list says."""
    if arguments.name:
        print(pretrained.card(arguments.name).rstrip())
        return
    headings = {
        name: pretrained.card(name).partition("\n")[0].lstrip("# ") for name in pretrained.names()
    }
    if not headings:
        print("no trained hierarchy comes with this version of vqv2")
        return
    print(format_table(("name", "what it is"), list(headings.items())))
    print("\n`vqv2 pretrained NAME` says what it was trained on, how, and what it cannot do")
