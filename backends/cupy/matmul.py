"""Matrix products on a device: cuBLAS."""

from backends import kernels
from backends.cupy.engine import cublas, half


@kernels.matmul.version("cupy")
def matmul(a, b, rounded=False):
    return cublas.multiply(a, b, rounded=rounded)


@kernels.factor.version("cupy")
def factor(x):
    return half.halved(x)
