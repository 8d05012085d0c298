"""The real package cupy on the processor: what is launched is run, too.

    python -m tests.gpu.emulation FOLDER      # prints what came out as JSON

On top of `dry_run`: every kernel that CuPy generates, and each of the project's own, is compiled by
NVIDIA's compiler as ever, and by g++ as well, which makes what is run on the memory of the host, a
fibre for each CUDA thread (`cuda_on_cpu.h`). Products are those of `cublas_on_cpu.c`. So these are
real numbers, through the real package's own code. Written for CuPy 14.
"""

import collections
import ctypes
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.gpu import cpu_kernels, dry_run

CUBLAS = Path(__file__).with_name("cublas_on_cpu.c")
calls = collections.Counter()
failures = []  # what went wrong in a launch: an exception cannot pass through CuPy's C code

# In the place of headers of CuPy's that only NVIDIA's compiler takes, and that are not needed.
_HEADERS = {
    "cupy/atomics.cuh": "#pragma once\n",
    "cupy/complex.cuh": "#pragma once\ntemplate <class T> struct complex { T real, imag; };\n",
}
_BEGINNING = f"""\
#include "{cpu_kernels.HEADER.name}"
#include <cstddef>
#include <cstdint>
#include <type_traits>
using std::isfinite;
using std::isinf;
using std::isnan;
inline int __popc(unsigned x) {{ return __builtin_popcount(x); }}
inline int __popcll(unsigned long long x) {{ return __builtin_popcountll(x); }}
"""
_END = """
struct Launch {
    unsigned grid[3], block[3];
    size_t shared;
    std::function<void()> call;
};
extern "C" void* record(const unsigned* grid, const unsigned* block, size_t shared, void** a)
{
    auto* launch = new Launch{{}, {}, shared, [VALUES]() mutable { CALL; }};
    std::copy(grid, grid + 3, launch->grid);
    std::copy(block, block + 3, launch->block);
    return launch;
}
extern "C" const char* replay(Launch* launch)
{
    return cpu::launch(launch->grid, launch->block, launch->shared, 0, launch->call);
}
extern "C" void forget(Launch* launch) { delete launch; }
"""
_handles = itertools.count(1 << 20)


class _Emulator:
    """Sources by module, kernels by function, as the driver hands them out."""

    def __init__(self, folder):
        self.folder = Path(folder) / "emulated"
        self.folder.mkdir(exist_ok=True)
        for name, text in _HEADERS.items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_text(text)
        self.compiled = None  # (source, options) of the module that is loaded next
        self.modules, self.functions, self.libraries = {}, {}, {}
        self.recording, self.graphs = [], {}

    def functions_of_the_driver(self):
        """{name: function} for `dry_run.start`."""
        return {
            "moduleLoadData": self._load,
            "moduleGetFunction": self._get_function,
            "launchKernel": self._launch,
        }

    def watch(self, compiler):
        """See every source that CuPy compiles."""
        original = compiler._compile_with_cache_cuda

        def compile_with_cache(source, options, *arguments, **keywords):
            self.compiled = source, options
            return original(source, options, *arguments, **keywords)

        compiler._compile_with_cache_cuda = compile_with_cache

    def _load(self, _):
        handle = next(_handles)
        self.modules[handle] = self.compiled
        return handle

    def _get_function(self, module, name):
        handle = next(_handles)
        self.functions[handle] = (*self.modules[module], name)
        return handle

    def _launch(self, function, *sizes_and_more):
        *sizes, shared, _, parameters, _ = sizes_and_more
        source, options, name = self.functions[function]
        dry_run.launches[name] += 1
        try:
            library = self._library(source, options, name)
            grid, block = ((ctypes.c_uint * 3)(*three) for three in (sizes[:3], sizes[3:]))
            place = ctypes.c_void_p(parameters)
            launch = library.record(grid, block, ctypes.c_size_t(shared), place)
        except Exception as error:
            failures.append(f"{name}: {error}"[:2000])
            return
        if dry_run.capturing():
            self.recording.append((name, library, launch))
            return
        _replay(name, library, launch)
        library.forget(ctypes.c_void_p(launch))

    def _end_capture(self, stream):
        graph = dry_run.end_capture(stream)
        self.graphs[graph], self.recording = self.recording, []
        return graph

    def _instantiate(self, graph, *_):
        return graph

    def _launch_graph(self, graph, _):
        calls["graphs"] += 1
        for launch in self.graphs[graph]:
            _replay(*launch)

    def functions_of_the_runtime(self):
        """The same of the runtime."""
        return {
            "streamEndCapture": self._end_capture,
            "graphInstantiate": self._instantiate,
            "graphLaunch": self._launch_graph,
        }

    def _library(self, source, options, name):
        key = source, options, name
        if key not in self.libraries:
            library = ctypes.CDLL(str(self._build(_program(source, options, name))))
            library.record.restype = ctypes.c_void_p
            library.replay.restype = ctypes.c_char_p
            self.libraries[key] = library
        return self.libraries[key]

    def _build(self, program):
        import cupy

        packages = Path(cupy.__file__).parents[1]
        includes = (
            *(cpu_kernels.HEADER.parent, self.folder, packages / "cupy/_core/include"),
            packages / "nvidia/cu13/include",
        )
        flags = ("-fpermissive", *(f"-I{folder}" for folder in includes))
        with tempfile.NamedTemporaryFile("w", suffix=".cpp", dir=self.folder) as file:
            file.write(program)
            file.flush()
            target = self.folder / f"{cpu_kernels.checksum(program)}.so"
            if not target.exists():
                command = ["g++", *cpu_kernels.FLAGS, *flags, file.name, "-o", f"{target}.new"]
                finished = subprocess.run(command, capture_output=True, text=True)
                if finished.returncode:
                    raise RuntimeError(f"g++: {finished.stderr[:1500]}")
                Path(f"{target}.new").replace(target)
        return target


def _replay(name, library, launch):
    message = library.replay(ctypes.c_void_p(launch))
    if message:
        failures.append(f"{name}: {message.decode()}")


def _program(source, options, name):
    """C++ of a source; `record` takes a launch of its kernel `name` down, `replay` makes it."""
    macros = [o[2:].split("=", 1) for o in options if o.startswith("-D") and "=" in o]
    lines = [f"#define {macro} {value}" for macro, value in macros]
    lines += ["#define FLUSHES_TO_ZERO"] * ("-ftz=true" in options)
    body = cpu_kernels.without_dynamic_shared(source).replace('extern "C" __global__', "static")
    kinds = _kinds(source, name)
    values = ", ".join(f"x{i} = *(std::remove_const_t<{k}>*)a[{i}]" for i, k in enumerate(kinds))
    end = _END.replace("VALUES", values)
    end = end.replace("CALL", f"{name}({', '.join(f'x{i}' for i in range(len(kinds)))})")
    return "\n".join([*lines, _BEGINNING, body, end])


def _kinds(source, name):
    """The types of a kernel's parameters."""
    found = re.search(rf"__global__\s[^;{{}}]*?\b{re.escape(name)}\s*\(", source)
    depth, parts = 0, [""]
    for letter in source[found.end() :]:
        if letter == ")" and depth == 0:
            break
        depth += (letter in "<(") - (letter in ">)")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [re.sub(r"\s*\w+\s*$", "", part.replace("__restrict__", "")).strip() for part in parts]


def start(folder):
    """The real package cupy, imported, whose kernels run on the processor."""
    emulator = _Emulator(folder)
    driver, runtime = emulator.functions_of_the_driver(), emulator.functions_of_the_runtime()
    # Without CUB, whose headers only NVIDIA's compiler takes.
    cupy = dry_run.start(folder, driver, runtime, CUBLAS.read_text(), accelerators="")
    from cupy.cuda import compiler

    emulator.watch(compiler)
    return cupy


def run_everything():
    """Two steps of each stage, codes and logits of a tiny hierarchy, for `test_emulation`.

    {"stage 1", ..., "prior LEVEL": [losses], "codes", "logits": lists}
    """
    import numpy as np

    import backends
    from tests.small import AUTOENCODER, CONFIG
    from vqv2.models.autoencoder import Autoencoder
    from vqv2.optim import Adam
    from vqv2.run import build_prior
    from vqv2.sampling import IncrementalPrior, Settings, sample_codes

    rng = np.random.default_rng(0)
    images = rng.random((2, 16, 16, 3), dtype=np.float32)
    codes = [rng.integers(0, 12, (2, size, size)) for size in AUTOENCODER.latent_sizes]
    label = np.array([0, 2])
    results = {}

    def losses(model, loss):
        optimizer, found = Adam(model.parameters(), 0.5), []
        for _ in range(2):
            value = loss()
            found.append(float(value.item()))
            optimizer.backward(value)
            optimizer.step(1e-3)
        return found

    for precision in ("float32", "bfloat16", "float16"):
        with backends.use(precision=precision):
            autoencoder = Autoencoder(AUTOENCODER, np.random.default_rng(0))
            steps = np.random.default_rng(1)
            results[f"stage 1 {precision}"] = losses(
                autoencoder,
                lambda: autoencoder.loss(images, steps)[0],  # noqa: B023
            )
    results["codes"] = {n: c.tolist() for n, c in autoencoder.encode(images).items()}
    for i, level in enumerate(CONFIG.levels):
        prior, steps = build_prior(CONFIG, level, 3, 0), np.random.default_rng(1)
        inputs = (codes[i], label, codes[:i])
        results[f"prior {level}"] = losses(
            prior,
            lambda: prior.loss(*inputs, rng=steps),  # noqa: B023
        )
    stepper = IncrementalPrior(prior, 2, label, codes[:i])
    logits = []
    for position in range(10):
        logits.append(backends.to_host(stepper.logits()).tolist())
        row, column = divmod(position, 8)
        stepper.append(backends.to_device(codes[i][:, row, column]))
    results["logits"] = logits
    for level, settings in (("top", Settings()), ("bottom", Settings(0.8, 5, 0.9))):
        prior, coarse = build_prior(CONFIG, level, 3, 0), codes[: CONFIG.levels.index(level)]
        rng = np.random.default_rng(2)
        drawn = sample_codes(prior, 2, rng, label, coarse, settings)
        results[f"drawn {level}"] = drawn.tolist()
    return results


if __name__ == "__main__":
    start(sys.argv[1])
    import backends

    backends.use("cupy")
    results = run_everything()
    found = {"results": results, "failures": failures, "graphs": calls["graphs"]}
    print(json.dumps({**found, "kernels": len(dry_run.launches)}))
    sys.stdout.flush()
    os._exit(0)  # as in `dry_run`
