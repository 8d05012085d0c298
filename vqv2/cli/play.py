"""`vqv2 play`: a page in the browser on which one sees a hierarchy think."""

import os
import sys
import webbrowser

from vqv2.cli.arguments import add_command, add_run
from vqv2.errors import InputError
from vqv2.hierarchy import Hierarchy
from vqv2.lab.play import PlayServer
from vqv2.terminal import printable
from vqv2.training.signals import Stopped


def add_parser(subparsers):
    """Add `play`."""
    parser = add_command(
        subparsers,
        "play",
        "a page in the browser: see codes being drawn, edit them, try your own images",
        ("vqv2 play emoji", "vqv2 play runs/emoji --port 8000 --no-browser"),
        _play,
    )
    add_run(parser, "a run folder (priors may be missing)")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="default: a free one")
    parser.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    parser.add_argument(
        "--best",
        action="store_true",
        help="priors as they were when their held-out loss was lowest, not as training left them",
    )


def _play(arguments):
    if not 0 <= arguments.port < 2**16:
        raise InputError(f"--port {arguments.port} must be from 0 (any free one) to 65535")
    hierarchy = Hierarchy.load(arguments.run_folder, best=arguments.best)
    with PlayServer(hierarchy, arguments.run_folder, arguments.port) as server:
        print(printable(f"{arguments.run_folder}: {_levels(hierarchy)}"))
        print(f"{server.address}\nonly this machine can open it; Ctrl-C ends it", flush=True)
        if _has_desktop() and not arguments.no_browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except Stopped:
            raise
        except KeyboardInterrupt:
            print("ended")


def _has_desktop():
    """Whether a browser has a window to open; one in the terminal would hide what is printed."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _levels(hierarchy):
    """The maps of a hierarchy, and which can be drawn, in words."""
    sizes = zip(hierarchy.levels, hierarchy.config.autoencoder.latent_sizes, strict=True)
    return ", ".join(
        f"{level} {size} x {size}{'' if level in hierarchy.priors else ' (no prior)'}"
        for level, size in sizes
    )
