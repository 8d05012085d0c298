"""What every kernel needs of a device, by NVIDIA's own compiler; neither driver nor device needed.

    python -m tests.gpu.compilation           # prints the table of resources

Needs the packages cuda-core and nvidia-cuda-nvrtc: pip install "vqv2[gpu-test]".
"""

import io
import re
from typing import NamedTuple

import numpy as np

from tests.gpu.sources import all_sources

ARCHITECTURES = ("sm_80", "sm_90")  # A100; H100 and H200
REGISTERS_PER_BLOCK = 65536

_KERNEL = re.compile(r"Compiling entry function '(\w+)'(.*?)Compile time", re.S)


class Resources(NamedTuple):
    """Of one kernel."""

    registers: int  # per thread
    spilled: int  # bytes stored to memory for lack of registers
    stack: int  # bytes of memory per thread
    shared: int  # bytes of static shared memory per block


def resources(source, architecture, dtype):
    """{kernel: `Resources`}. Raises the compiler's error when it refuses the source."""
    from cuda.core import Program, ProgramOptions

    standard, *macros = source.options(dtype)
    options = ProgramOptions(
        std=standard.removeprefix("--std="),
        arch=architecture,
        define_macro=[tuple(macro.removeprefix("-D").split("=", 1)) for macro in macros],
        ftz=True,  # as CuPy compiles everything: numbers below 1.2e-38 count as zero
        ptxas_options="-v",
    )
    log = io.StringIO()
    Program(source.code(), "c++", options).compile("cubin", logs=log)
    if "warning" in log.getvalue():
        raise ValueError(f"{source.path.name}: {log.getvalue()}")
    return {name: _resources(text) for name, text in _KERNEL.findall(log.getvalue())}


def _resources(text):
    def number(pattern):
        match = re.search(pattern, text)
        return int(match[1]) if match else 0

    return Resources(
        number(r"Used (\d+) registers"),
        number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads"),
        number(r"(\d+) bytes stack frame"),
        number(r"(\d+) bytes smem"),
    )


def table(rows):
    """Lines of text of {(file, architecture, dtype): {kernel: `Resources`}}."""
    lines = [f"{'kernel':44} {'for':16} registers spilled stack shared"]
    for (file, architecture, dtype), kernels in rows.items():
        for name, r in kernels.items():
            place = f"{architecture} {np.dtype(dtype)}"
            lines.append(
                f"{file + ' ' + name:44} {place:16} {r.registers:9} {r.spilled:7} {r.stack:5} "
                f"{r.shared:6}"
            )
    return lines


if __name__ == "__main__":
    print(
        *table(
            {
                (name, architecture, dtype): resources(source, architecture, dtype)
                for name, source in all_sources().items()
                for architecture in ARCHITECTURES
                for dtype in (np.float32, np.float64)
            }
        ),
        sep="\n",
    )
