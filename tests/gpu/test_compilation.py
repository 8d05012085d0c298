"""Every kernel passes NVIDIA's compiler without a warning and fits into registers, on paper."""

import importlib.util

import numpy as np
import pytest

from backends.cupy.engine import cuda
from tests.gpu import compilation
from tests.gpu.cpu_kernels import kernel_names
from tests.gpu.sources import all_sources

DTYPES = (np.float32, np.float64)


def why_missing():
    """Why nothing can be compiled here, or None."""
    try:
        missing = [m for m in ("cuda.core", "cuda.bindings.nvrtc") if not _installed(m)]
    except ModuleNotFoundError as error:
        missing = [error.name]
    return f"{missing[0]} is not installed: pip install vqv2[gpu-test]" if missing else None


def _installed(module):
    return importlib.util.find_spec(module) is not None


@pytest.fixture(autouse=True)
def compiler():
    if reason := why_missing():
        pytest.skip(f"kernels cannot be compiled for a device: {reason}")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("architecture", compilation.ARCHITECTURES)
@pytest.mark.parametrize("name", all_sources())
def test_kernels_compile_without_spills(name, architecture, dtype, capsys):
    source = all_sources()[name]
    found = compilation.resources(source, architecture, dtype)
    assert set(found) == set(kernel_names(source.code()))
    with capsys.disabled():
        print("\n" + "\n".join(compilation.table({(name, architecture, dtype): found})[1:]), end="")
    for kernel, needs in found.items():
        assert needs.spilled == 0 and needs.stack == 0, f"{kernel} spills: {needs}"
        assert needs.shared <= 48 * 1024
        if kernel.startswith("atten"):  # those are launched with more: `shared` of `Source.launch`
            assert needs.shared + cuda.SHARED_BYTES <= 48 * 1024
        threads = source.constants.get("THREADS", cuda.THREADS)
        assert needs.registers * threads <= compilation.REGISTERS_PER_BLOCK


def test_spills_would_be_noticed(tmp_path):
    """A kernel that indexes a large array of its own must live in memory."""
    source = all_sources()["adam.cu"]
    code = source.code() + (
        'extern "C" __global__ void wasteful(Real* x, const int* i)\n'
        "{ Real own[500]; for (int k = 0; k < 500; k++) own[k] = x[i[k]]; x[0] = own[i[0]]; }\n"
    )

    class Changed:
        path, options = source.path, source.options

        def code(self):
            return code

    assert compilation.resources(Changed(), "sm_80", np.float32)["wasteful"].stack >= 2000
