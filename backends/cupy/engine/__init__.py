"""What the kernels of the cupy backend share.

cuda.py compiles and launches, prelude.cuh is what every .cu file begins with, cublas.py multiplies
matrices in the selected precision, cuda_graph.py records launches that are made again and again.
"""
