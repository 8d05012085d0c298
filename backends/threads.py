"""How the thread pools of BLAS and OpenMP wait; must run before NumPy and Numba load them.

Both pools keep their idle threads spinning by default, each for itself, and one pool's idle threads
then take the cores from the other's busy ones. So idle threads sleep: OpenBLAS's at once, OpenMP's
after a fraction of a millisecond. That bridges the gaps between the kernels of a step. A thread
that was asleep may wake on the very core that woke it, and share it for milliseconds, while another
core is idle. A value set by the user stays.
"""

import os

_CHOICES = {
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "100000",  # turns of a waiting thread before it sleeps
    "OPENBLAS_THREAD_TIMEOUT": "4",  # 2^4 cycles, the least it takes
}
SET_HERE = tuple(name for name in _CHOICES if name not in os.environ)  # the user set the others
os.environ.update({name: _CHOICES[name] for name in SET_HERE})
