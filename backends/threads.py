"""How the thread pools of BLAS and OpenMP wait; must run before NumPy and Numba load them.

Both pools keep their idle threads spinning by default, each for itself. A training step goes back
and forth between matrix products (OpenBLAS) and Numba kernels (OpenMP), so one pool's idle threads
take the cores from the other's busy ones: on two cores a step was 3 to 20 times slower. So idle
threads sleep, OpenMP's after some ten microseconds: a sampling step calls a hundred kernels in a
row, and waking the threads takes longer than a small kernel. A value set by the user stays.
"""

import os

_CHOICES = {
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "10000",  # turns of a waiting thread before it sleeps
    "OPENBLAS_THREAD_TIMEOUT": "4",  # 2^4 cycles, the least it takes
}
SET_HERE = tuple(name for name in _CHOICES if name not in os.environ)  # the user set the others
os.environ.update({name: _CHOICES[name] for name in SET_HERE})
