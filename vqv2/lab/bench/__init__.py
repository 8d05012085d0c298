"""Benchmarks: what the kernels, training and sampling cost, against the machine and a peer.

    vqv2 bench kernels | train | sample | memory | scaling | first-use

`measure.py` says how anything is measured: each side in a process of its own (`worker.py`), taking
turns. The files named after a benchmark say what is measured. `peer/` holds the same computations
in ordinary PyTorch, imported only when `--peer torch` asks for them.
"""
