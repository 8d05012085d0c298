"""Running the project's CUDA kernels on the processor, through g++ and `cuda_on_cpu.h`.

    module = CpuModule(code, options)              # as cupy.RawModule
    module.get_function("elu")((blocks,), (threads,), arguments, shared_mem=0)

Arguments are NumPy arrays and scalars. They are held to what the kernel declares, one by one: on a
device a wrong type or a missing argument is simply read as something else. Every array ends where
memory begins that may not be touched, so that reading beyond it is an error, too.
"""

import ctypes
import hashlib
import mmap
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from backends.shapes.declarations import KERNEL, declarations

HEADER = Path(__file__).with_name("cuda_on_cpu.h")
CACHE = Path(tempfile.gettempdir()) / f"vqv2-kernels-{os.getuid()}"
FLAGS = ("-std=c++17", "-O1", "-fPIC", "-shared", "-w", "-U_FORTIFY_SOURCE", "-fno-stack-protector")
PAGE = mmap.PAGESIZE
UNASKED = 47 * 1024  # of dynamic shared memory: a kernel's own arrays count towards the 48 KiB
SHARED_LIMIT = 64 * 1024  # bytes per block on the oldest devices that CUDA 13 supports (Turing)

ORDERS = {"forward": 0, "reverse": 1, "shuffled": 2, "shuffled again": 3}

_DYNAMIC_SHARED = re.compile(r"extern __shared__ (\w+) (\w+)\[\];")


class KernelError(RuntimeError):
    """A kernel was launched wrongly, or did what no kernel may do."""


def why_missing():
    """Why kernels cannot be run here, or None."""
    return None if shutil.which("g++") else "g++ is not installed"


class Order:
    """The order in which threads run; a context manager: `with Order("reverse"): ...`."""

    current = 0

    def __init__(self, name):
        self.number = ORDERS[name]

    def __enter__(self):
        self.former, Order.current = Order.current, self.number

    def __exit__(self, *exception):
        Order.current = self.former


def kernel_names(code):
    """The kernels that a source text holds."""
    return [name for name, _ in KERNEL.findall(code)]


class CpuModule:
    """The kernels of one source text, as `cupy.RawModule` has them."""

    def __init__(self, *, code, options=()):
        macros = dict(option[2:].split("=", 1) for option in options if option.startswith("-D"))
        self.real = {"float": np.float32, "double": np.float64}[macros["Real"]]
        self.parameters = declarations(code, self.real)
        self.library = ctypes.CDLL(str(_build(_cpp(code, macros, self.parameters))))

    def get_function(self, name):
        """The kernel `name`, to be called as cupy's."""
        return CpuKernel(self, name)


class CpuKernel:
    """One kernel; its call checks what a device would not."""

    def __init__(self, module, name):
        if name not in module.parameters:
            raise KernelError(f"there is no kernel {name}")
        self.name = name
        self.parameters = module.parameters[name]
        self.run = getattr(module.library, f"run_{name}")
        self.run.restype = ctypes.c_char_p
        self.max_dynamic_shared_size_bytes = UNASKED

    def __call__(self, grid, block, args, *, shared_mem=0):
        """Run all threads; the arrays that the kernel may write are changed in place."""
        grid, block = (tuple(size) + (1,) * (3 - len(size)) for size in (grid, block))
        self._check_sizes(grid, block, shared_mem)
        if len(args) != len(self.parameters):
            raise KernelError(
                f"{self.name} takes {len(self.parameters)} arguments, got {len(args)}"
            )
        guarded = {}
        places = [
            self._place(parameter, value, guarded)
            for parameter, value in zip(self.parameters, args, strict=True)
        ]
        pointers = (ctypes.c_void_p * len(places))(*(place.ctypes.data for place in places))
        sizes = [(ctypes.c_uint * 3)(*size) for size in (grid, block)]
        message = self.run(*sizes, ctypes.c_size_t(shared_mem), Order.current, pointers)
        if message:
            raise KernelError(f"{self.name}: {message.decode()}")
        for parameter, value in zip(self.parameters, args, strict=True):
            if isinstance(value, np.ndarray):
                self._take_back(parameter, value, guarded[_identity(value)])

    def _check_sizes(self, grid, block, shared_mem):
        for name, size, limits in (
            ("grid", grid, (2**31 - 1, 65535, 65535)),
            ("block", block, (1024, 1024, 64)),
        ):
            if any(n < 1 or n > limit for n, limit in zip(size, limits, strict=True)):
                raise KernelError(f"{self.name} cannot have a {name} of {size}")
        if np.prod(block) > 1024:
            raise KernelError(f"{self.name} cannot have a block of {block}")
        if shared_mem > min(self.max_dynamic_shared_size_bytes, SHARED_LIMIT):
            raise KernelError(f"{self.name} was not granted {shared_mem} bytes of shared memory")

    def _place(self, parameter, value, guarded):
        """Where the kernel finds an argument: a scalar, or the address of a guarded copy."""
        name, dtype, is_array, _ = parameter
        if isinstance(value, np.ndarray) != is_array or dtype not in (None, value.dtype):
            raise KernelError(
                f"{self.name} wants {'an array' if is_array else 'a scalar'} of {np.dtype(dtype)} "
                f"for {name}, got {type(value).__name__} of {getattr(value, 'dtype', '?')}"
            )
        if not is_array:
            return np.array(value)
        if not value.flags.c_contiguous:
            raise KernelError(f"{self.name} was given gaps between the elements of {name}")
        if _identity(value) not in guarded:
            guarded[_identity(value)] = _GuardedCopy(value)
        return np.array(guarded[_identity(value)].address, np.uint64)

    def _take_back(self, parameter, value, memory):
        name, _, _, constant = parameter
        if (memory.before != 0xFF).any():
            raise KernelError(f"{self.name} wrote before the start of {name}")
        if not constant:
            _bytes(value)[...] = memory.inside


_libc = ctypes.CDLL(None, use_errno=True)


class _GuardedCopy:
    """A copy of an array, at the end of memory pages between two that may not be touched."""

    def __init__(self, array):
        size = -(-max(1, array.nbytes) // PAGE) * PAGE
        self.map = mmap.mmap(-1, size + 2 * PAGE)
        memory = np.frombuffer(self.map, np.uint8)
        for page in (0, size + PAGE):
            address = ctypes.c_void_p(memory.ctypes.data + page)
            if _libc.mprotect(address, ctypes.c_size_t(PAGE), 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        used = memory[PAGE : PAGE + size]
        self.before, self.inside = np.split(used, [size - array.nbytes])
        self.before[...] = 0xFF
        self.inside[...] = _bytes(array)
        self.address = memory.ctypes.data + PAGE + size - array.nbytes


def _identity(array):
    return array.ctypes.data, array.nbytes


def _bytes(array):
    return array.reshape(-1).view(np.uint8)


def _cpp(code, macros, parameters):
    """The C++ program: the source, and a function for each kernel that Python can call."""
    lines = [f"#define {name} {value}" for name, value in macros.items()]
    if macros["Real"] == "float":
        lines.append("#define FLUSHES_TO_ZERO")
    lines.append(f'#include "{HEADER.name}"')
    body = code.replace('extern "C" __global__', "static")
    lines.append(without_dynamic_shared(body))
    declared = dict(KERNEL.findall(code))
    for name in parameters:
        kinds = [
            re.sub(r"\w+$", "", " ".join(p.split())).strip() for p in declared[name].split(",")
        ]
        arguments = ", ".join(f"*({kind}*)a[{i}]" for i, kind in enumerate(kinds))
        lines.append(
            f'extern "C" const char* run_{name}(const unsigned* grid, const unsigned* block, '
            "size_t shared, unsigned order, void** a)\n"
            f"{{ return cpu::launch(grid, block, shared, order, [=] {{ {name}({arguments}); }}); }}"
        )
    return "\n".join(lines) + "\n"


def without_dynamic_shared(code):
    """A source whose dynamic shared memory is that of `cuda_on_cpu.h`."""
    return _DYNAMIC_SHARED.sub(r"\1* \2 = (\1*)cpu::dynamic_shared.data();", code)


def checksum(program):
    """What tells a program, and the header it includes, from others."""
    return hashlib.sha256((program + HEADER.read_text() + repr(FLAGS)).encode()).hexdigest()[:24]


def _build(program):
    """The compiled library of a program, from the cache where it was built before."""
    library = CACHE / f"{checksum(program)}.so"
    if not library.exists():
        CACHE.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            source, built = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
            source.write_text(program)
            command = ["g++", *FLAGS, f"-I{HEADER.parent}", str(source), "-o", str(built)]
            result = subprocess.run(command, capture_output=True, text=True)
            if result.returncode:
                raise KernelError(f"g++ refuses a kernel: {result.stderr[:2000]}")
            built.replace(library)
    return library
