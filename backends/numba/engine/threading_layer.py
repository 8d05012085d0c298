"""Which threads run compiled loops: those of oneTBB where it is installed, else what Numba finds.

Numba's usual layer on Linux is GNU OpenMP's. There every thread of the team has to arrive at the
end of each loop, whether it had work or not, so that one busy process beside it costs a loop far
more than its share of the processor. TBB's threads take work when they come to run, and what has
been done waits for nobody else. They also survive a fork. Which thread computes what changes no
bit: a kernel's tasks write to places of their own.

The package `tbb` puts its library where the dynamic linker does not look, so it is loaded here,
before Numba asks for it. NUMBA_THREADING_LAYER still has the last say.
"""

import ctypes
import functools
import importlib.metadata
import os

_LIBRARY = "libtbb.so.12"  # the ABI that Numba is built for


@functools.cache
def load_tbb():
    """Load the TBB library of the package `tbb`; why it is not, in a sentence, or None."""
    try:
        files = importlib.metadata.files("tbb") or ()
    except importlib.metadata.PackageNotFoundError:
        return "the package tbb is not installed"
    library = next((file.locate() for file in files if file.name == _LIBRARY), None)
    if library is None:
        return f"the package tbb has no {_LIBRARY} here"
    try:
        ctypes.CDLL(os.fspath(library), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return f"the library of the package tbb cannot be loaded ({error})"
    return None


def threading_layer():
    """(layer, why): "tbb", "omp" or "workqueue", and in a sentence why not TBB, or None.

    Starts Numba's threads, where that is not done.
    """
    why = load_tbb()
    import numba
    from numba.np.ufunc.parallel import _launch_threads

    _launch_threads()
    layer = numba.threading_layer()
    if layer != "tbb" and why is None:
        chosen = os.environ.get("NUMBA_THREADING_LAYER")
        why = f"NUMBA_THREADING_LAYER is {chosen}" if chosen else "Numba did not take TBB"
    return layer, None if layer == "tbb" else why
