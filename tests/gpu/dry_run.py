"""The real package cupy without a driver: kernels are compiled but not run, memory is the host's.

    python -m tests.gpu.dry_run FOLDER      # prints what happened as JSON

CuPy's extension modules find the CUDA driver and runtime through tables of C functions; these are
replaced before `import cupy` reads them. The libraries that it links to (cuBLAS and others) are
replaced by empty ones, built from the names that it asks for. Everything else is the real package:
what its functions take and return, their dtypes, shapes and errors, its generated kernels, through
the real compiler. Numbers mean nothing here, since nothing is computed. Needs cupy, the wheel of
NVRTC, gcc and binutils. Written for CuPy 14.
"""

import collections
import ctypes
import itertools
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

calls = collections.Counter()  # of the runtime and the driver, by name
launches = collections.Counter()  # of kernels, by name
grids = {}  # blocks of threads of the largest launch of each kernel, by name

LIBRARIES = {  # library that CuPy links to -> what its functions' names begin with
    "libcublasLt": "cublasLt",
    "libcublas": "cublas",
    "libcurand": "curand",
    "libcusparse": "cusparse",
    "libcusolver": "cusolver",
    "libcufft": "cufft",
}
ATTRIBUTES = {  # cudaDeviceGetAttribute, as an A100 answers
    1: 1024, 2: 1024, 3: 1024, 4: 64, 5: 2**31 - 1, 6: 65535, 7: 65535, 8: 49152, 10: 32, 16: 108,
    39: 2048, 75: 8, 76: 0, 81: 166912, 97: 166912,
}  # fmt: skip

_TYPES = {
    "int": ctypes.c_int,
    "intptr_t": ctypes.c_ssize_t,
    "size_t": ctypes.c_size_t,
    "unsigned int": ctypes.c_uint,
    "PyObject *": ctypes.py_object,
    "CUdevice": ctypes.c_int,
    "float": ctypes.c_float,
    "cudaMemcpyKind": ctypes.c_int,
}
_python = ctypes.pythonapi
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_python.PyCapsule_GetName.restype = ctypes.c_char_p
_python.PyCapsule_GetName.argtypes = [ctypes.py_object]
_libc = ctypes.CDLL(None)
_libc.calloc.restype = ctypes.c_void_p
_libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
_libc.free.argtypes = [ctypes.c_void_p]
_kept = []  # what C code points to must not be collected
_handles = itertools.count(1000)
_kernel_names = {}
_capturing = set()  # streams
captured = collections.Counter()  # calls while a stream captures: what a recording consists of


def capturing():
    """Whether a stream records what is launched."""
    return bool(_capturing)


def why_impossible():
    """Why no dry run can be made here, or None."""
    for module in ("cupy", "cupy_backends"):
        if find_spec(module) is None:
            return "the package cupy is not installed: pip install vqv2[gpu-test]"
    for program in ("gcc", "nm", "objdump"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None


def start(folder, driver=(), runtime=(), cublas="", accelerators="cub"):
    """Replace what needs a driver, import cupy, and return it. `folder` is for built files.

    `driver` and `runtime` {name: function} take the place of functions here, and `cublas` is C code
    with functions of cuBLAS that do more than return 0 (`emulation.py`). `accelerators` are CuPy's:
    by default those of a device, where CUB reduces whole arrays and trailing axes.
    """
    os.environ["CUPY_CACHE_DIR"] = str(Path(folder) / "kernels")
    os.environ["CUPY_ACCELERATORS"] = accelerators
    _load_empty_libraries(Path(folder), {"libcublas": cublas})
    import cupy_backends.cuda.api.driver as driver_api
    import cupy_backends.cuda.api.runtime as runtime_api

    driver_functions = {**_driver_functions(), **dict(driver)}
    runtime_functions = {**_runtime_functions(), **dict(runtime)}
    for module, functions in ((runtime_api, runtime_functions), (driver_api, driver_functions)):
        for name, function in functions.items():
            _replace(module, name, function)
    import cupy

    cupy.cuda.set_allocator(None)  # every array is fresh memory, which reads as zero
    return cupy


def _replace(module, name, function):
    """Put a Python function in the place of a C function that extension modules import."""
    capsule = module.__pyx_capi__[name]
    signature = _python.PyCapsule_GetName(capsule)
    result, arguments = signature.decode().rstrip(")").split("(", 1)
    arguments = [a.strip() for a in arguments.split(",") if a.strip() != "void"]
    hidden = [a.endswith("__pyx_skip_dispatch") or a.startswith("struct") for a in arguments]
    types = [
        (ctypes.c_int if a.endswith("__pyx_skip_dispatch") else ctypes.c_void_p) if h else _TYPES[a]
        for a, h in zip(arguments, hidden, strict=True)
    ]
    shown = len(arguments) - sum(hidden)

    def counted(*given, **_):
        calls[name] += 1
        if _capturing:
            captured[name] += 1
        return function(*given[:shown])

    callback = ctypes.PYFUNCTYPE(_TYPES[result.strip()], *types)(counted)
    address = ctypes.cast(callback, ctypes.c_void_p)
    _kept.extend((capsule, callback, signature))
    module.__pyx_capi__[name] = _python.PyCapsule_New(address, signature, None)
    setattr(module, name, counted)


class Memory:
    """The device's memory: how many bytes are in use, and how many were at most."""

    def __init__(self):
        self.sizes, self.used, self.peak = {}, 0, 0

    def take(self, size):
        """The address of `size` bytes, all zero."""
        place = _libc.calloc(max(size, 1), 1)
        self.sizes[place] = size
        self.used += size
        self.peak = max(self.peak, self.used)
        return place

    def give(self, place):
        """Take back what `take` gave."""
        self.used -= self.sizes.pop(place, 0)
        _libc.free(place)


memory = Memory()


def _nothing(*_):
    return None


def _runtime_functions():
    handle = lambda *_: next(_handles)  # noqa: E731
    copy = lambda to, source, size, *_: ctypes.memmove(to, source, size) and None  # noqa: E731
    fill = lambda to, value, size, *_: ctypes.memset(to, value, size) and None  # noqa: E731
    ignored = (
        "setDevice _ensure_context streamSynchronize deviceSynchronize eventRecord eventDestroy "
        "streamDestroy eventSynchronize streamQuery eventQuery streamWaitEvent graphLaunch "
        "graphUpload graphDestroy graphExecDestroy"
    )
    created = (
        "streamCreate streamCreateWithFlags streamCreateWithPriority eventCreate "
        "eventCreateWithFlags graphInstantiate"
    )
    return {
        **dict.fromkeys(ignored.split(), _nothing),
        **dict.fromkeys(created.split(), handle),
        "getDevice": lambda: 0,
        "getDeviceCount": lambda: 1,
        "deviceGetAttribute": lambda attribute, _: ATTRIBUTES.get(attribute, 1),
        "malloc": memory.take,
        "free": memory.give,
        "hostAlloc": lambda size, _: _libc.calloc(max(size, 1), 1),
        "freeHost": lambda place: _libc.free(place),
        "memcpy": copy,
        "memcpyAsync": copy,
        "memset": fill,
        "memsetAsync": fill,
        "memGetInfo": lambda: (2**33, 2**34),
        "driverGetVersion": lambda: 13000,
        "runtimeGetVersion": lambda: 13020,
        "streamIsCapturing": lambda stream: int(stream in _capturing),
        "streamBeginCapture": lambda stream, *_: _capturing.add(stream),
        "streamEndCapture": end_capture,
        "pointerGetMemoryType": lambda _: 0,
        "deviceGetLimit": lambda _: 1024,
        "eventElapsedTime": lambda *_: 2.0,
    }


def end_capture(stream):
    """The handle of what a stream has recorded."""
    _capturing.discard(stream)
    return next(_handles)


def _driver_functions():
    def function(_, name):
        handle = next(_handles)
        _kernel_names[handle] = name
        return handle

    def launch(handle, blocks, *_):
        name = _kernel_names[handle]
        launches[name] += 1
        grids[name] = max(blocks, grids.get(name, 0))

    return {
        "moduleLoadData": lambda _: next(_handles),
        "moduleUnload": _nothing,
        "moduleGetFunction": function,
        "moduleGetGlobal": lambda *_: _libc.calloc(1 << 20, 1),
        "launchKernel": launch,
        "ctxGetCurrent": lambda: 1,
        "ctxGetDevice": lambda: 0,
        "streamGetCtx": lambda _: 1,
        "funcGetAttribute": lambda *_: 1024,
        "funcSetAttribute": _nothing,
        "occupancyMaxActiveBlocksPerMultiprocessor": lambda *_: 8,
        "occupancyMaxPotentialBlockSize": lambda *_: (108, 256),
    }


def _load_empty_libraries(folder, code):
    """Libraries whose every function returns 0, which means success, or is in {library: code}."""
    packages = [Path(find_spec(name).origin).parent for name in ("cupy", "cupy_backends")]
    modules = [str(path) for package in packages for path in package.rglob("*.so")]
    listed = subprocess.run(
        ["nm", "-D", "--undefined-only", *modules], capture_output=True, text=True, check=True
    )
    symbols = {line.split()[-1] for line in listed.stdout.splitlines() if " U " in line}
    asked_for = _asked_for(modules)
    versions = {name.split(".so")[0]: name.split(".so")[1] for name in asked_for}
    versions["libcublasLt"] = versions["libcublas"]
    for library, prefix in LIBRARIES.items():
        wanted = {s.split("@")[0] for s in symbols if s.startswith(prefix)}
        _load_empty_library(
            folder / f"{library}.so{versions[library]}", wanted, code.get(library, "")
        )


def _asked_for(modules):
    """File names of the libraries that extension modules ask for, such as libcublas.so.13."""
    listed = subprocess.run(["objdump", "-p", *modules], capture_output=True, text=True, check=True)
    return {line.split()[-1] for line in listed.stdout.splitlines() if "NEEDED" in line}


def _load_empty_library(path, symbols, code):
    source = path.with_suffix(".c")
    empty = (name for name in sorted(symbols) if f" {name}(" not in code)
    source.write_text(code + "".join(f"int {name}() {{ return 0; }}\n" for name in empty))
    versions = path.with_suffix(".map")
    versions.write_text(f"{path.name} {{ global: *; }};\n")
    command = ["gcc", "-shared", "-fPIC", "-w", "-o", str(path), str(source)]
    command += [f"-Wl,-soname,{path.name}", f"-Wl,--version-script={versions}"]
    subprocess.run(command, check=True)
    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def run_everything():
    """Two steps of each stage, encoding, decoding, sampling: on the device, of `tests.small`.

    Returns {stage: {function of the driver or runtime: calls in its second step}}; a stage is also
    sampling one position, "position LEVEL COUNT STORAGE".
    """
    import numpy as np

    import backends
    from backends.reference.packing import STORAGES
    from tests.small import AUTOENCODER, CONFIG
    from vqv2.models.autoencoder import Autoencoder
    from vqv2.optim import Adam
    from vqv2.run import build_prior
    from vqv2.sampling import IncrementalPrior, Settings, sample_codes

    rng = np.random.default_rng(0)
    codes = {
        level: rng.integers(0, AUTOENCODER.codebook_size, (4, size, size))
        for level, size in zip(CONFIG.levels, AUTOENCODER.latent_sizes, strict=True)
    }
    images, label = rng.random((4, 16, 16, 3), dtype=np.float32), np.array([0, 1, 2, 0])

    second_steps = {}

    def train(stage, model, loss):
        optimizer = Adam(model.parameters(), 0.5, precision=backends.current_precision())
        for _ in range(2):
            before = calls.copy()
            value = loss()
            value.item()
            optimizer.backward(value)
            optimizer.step(1e-3)
        second_steps[stage] = calls - before
        model.load_state(model.state())
        optimizer.load_state(optimizer.state(), 2)

    autoencoder = Autoencoder(AUTOENCODER, rng)
    train("stage 1", autoencoder, lambda: autoencoder.loss(images, rng)[0])
    for precision in backends.PRECISIONS[1:]:
        with backends.use(precision=precision):
            train(f"stage 1 {precision}", autoencoder, lambda: autoencoder.loss(images, rng)[0])
    autoencoder.encode(images)
    autoencoder.decode(codes, ["top"])
    for i, level in enumerate(CONFIG.levels):
        prior = build_prior(CONFIG, level, 3, 0)
        coarser = [codes[name] for name in CONFIG.levels[:i]]
        loss = lambda: prior.loss(codes[level], label, coarser, rng)  # noqa: B023, E731
        train(f"stage 2 {level}", prior, loss)
        for settings in (Settings(), Settings(0.5, 3, 0.9), Settings(0)):
            for count, storage in ((4, "float32"), (4, "bfloat16"), (65, "float32")):
                before = calls.copy()
                of_many = [rng.integers(0, 12, (count, *c.shape[1:])) for c in coarser]
                given = label[:1].repeat(count)
                sample_codes(prior, count, rng, given, of_many, settings, storage=storage)
                second_steps[f"map {level} {count} {storage}"] = calls - before
        sample_codes(prior, 4, rng, label, coarser, method="naive")
        for count, storage in itertools.product((4, 70), STORAGES):
            of_many = [rng.integers(0, 12, (count, *c.shape[1:])) for c in coarser]
            stepper = IncrementalPrior(prior, count, np.zeros(count, int), of_many, storage)
            stepper.logits()
            stepper.append(drawn := backends.to_device(np.zeros(count, np.int64)))
            before = calls.copy()
            stepper.logits()
            stepper.append(drawn)
            second_steps[f"position {level} {count} {storage}"] = calls - before
    return second_steps


def blocks_of_a_bias_gradient():
    """Blocks of threads of the largest launch that sums many rows of 64 channels."""
    import cupy
    import numpy as np

    from backends import kernels

    rows = cupy.zeros((2**16, 64), np.float32)
    grids.clear()
    kernels.sum_rows(rows)
    return max(grids.values())


def run_benchmarks():
    """{"SUITE NAME": [seconds, peak bytes]} of everything that `vqv2 bench` measures, tiny.

    The workers' code runs here in this process; memory comes from CuPy's pool for once.
    """
    import cupy
    import numpy as np

    import backends
    from backends.process import device_memory
    from vqv2.lab.bench import kernels
    from vqv2.lab.bench.benchmarks import TRAINED
    from vqv2.lab.bench.worker import _Server

    pool = cupy.get_default_memory_pool()

    def take(size):
        """Memory of the pool that reads as zero: results that nothing computes decide nothing."""
        taken = pool.malloc(size)
        ctypes.memset(taken.ptr, 0, size)
        return taken

    cupy.cuda.set_allocator(take)
    server, sizes = _Server("ours"), {"batch": 2, "scale": "tiny"}
    subjects = [("machine", name) for name in ("matrix product", "streaming")]
    subjects += [("kernels", name) for name in kernels.names()]
    subjects += [("train", name) for name in TRAINED]
    found = {}
    for suite, name in subjects:
        server.answer({"do": "build", "suite": suite, "name": name, "options": {"scale": "tiny"}})
        found[f"{suite} {name}"] = (
            server.answer({"do": "run", "fill": 0.0}),
            server.answer({"do": "peak"}),
        )
    for level in ("top", "bottom"):
        model = {"preset_name": "imagenet256", "level": level, "classes": 0, **sizes}
        options = {"model": model, "fraction": 0.5}
        server.answer({"do": "build", "suite": "sample", "name": "map", "options": options})
        found[f"sample {level}"] = (
            server.answer({"do": "run", "fill": 0.0}),
            server.answer({"do": "peak"}),
        )
    backends.limit_memory("10MiB")
    try:
        cupy.empty(2**24, np.float32)
    except MemoryError as error:
        found["too much"] = str(error)
    device_memory.release()
    cupy.cuda.set_allocator(None)
    return found


if __name__ == "__main__":
    start(sys.argv[1])
    from backends import use  # once everything that CuPy reads has been replaced

    use("cupy")
    steps = run_everything()
    result = {"steps": steps, "peak": memory.peak, "used": memory.used}
    result["blocks of a bias gradient"] = blocks_of_a_bias_gradient()
    result["benchmarks"] = run_benchmarks()
    result |= {"launches": launches, "captured": captured}
    print(json.dumps(result), flush=True)
    os._exit(0)  # the interpreter must not tidy up: CuPy would call what is gone by then
