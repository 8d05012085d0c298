"""VQ-VAE-2 (Razavi, van den Oord, Vinyals, 2019) on NumPy, with swappable array backends.

`vqv2.Hierarchy.load(run)` opens a trained model; `vqv2.functional` and `vqv2.nn` are for building
one; the command `vqv2` does both from a terminal.
"""

from vqv2 import starting  # noqa: F401  (first: Ctrl-C is quiet from here on)

# isort: split
import backends

if not hasattr(backends, "use"):
    raise ImportError(
        f"vqv2 needs its own package `backends`, but Python found another one first: "
        f"{getattr(backends, '__file__', backends)}; rename it or move it off the import path"
    )

from vqv2.autodiff import Tensor, no_grad
from vqv2.errors import InputError
from vqv2.hierarchy import Hierarchy
from vqv2.operation import differentiable
from vqv2.presets import PRESETS, preset
from vqv2.version import __version__

__all__ = [
    "PRESETS",
    "Hierarchy",
    "InputError",
    "Tensor",
    "__version__",
    "backends",
    "differentiable",
    "no_grad",
    "preset",
]
