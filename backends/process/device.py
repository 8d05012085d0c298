"""Whether a CUDA device can be used here, and if not, what is missing."""

import importlib.metadata
import importlib.util

_OTHERWISE = ", or choose the numba backend"
_INSTALL = (
    'pip install "vqv2[cuda13]" for NVIDIA drivers from 580 on, "vqv2[cuda12]" for those from 525'
)


def why_no_device():
    """One sentence saying why the cupy backend cannot be used here, or None when it can."""
    if importlib.util.find_spec("cupy") is None:
        return f"the cupy backend needs the package cupy: {_INSTALL}{_OTHERWISE}"
    try:
        import cupy
    except Exception as error:  # a broken installation may raise anything
        return f"the package cupy cannot be loaded ({_first_line(error)}): {_INSTALL}{_OTHERWISE}"
    return _why_no_driver(cupy.cuda.runtime) or next(
        (sentence + _OTHERWISE for sentence in missing_libraries()), None
    )


# Modules of cupy.cuda, the CUDA library behind each, the package it comes in, and what it is for.
_LIBRARIES = (
    ("nvrtc", "NVRTC", "nvidia-cuda-nvrtc", "compiles the kernels"),
    ("cublas", "cuBLAS", "nvidia-cublas", "multiplies matrices"),
)


def missing_libraries():
    """A sentence for each CUDA library that the package cupy needs here and cannot load.

    cuRAND is not among them: what is left to chance is hashed (`backends.reference.hashing`). []
    as well where there is no cupy.
    """
    if importlib.util.find_spec("cupy") is None:
        return []
    import cupy

    major = cupy.cuda.runtime.runtimeGetVersion() // 1000
    sentences = (_why_missing(cupy.cuda, major, *library) for library in _LIBRARIES)
    return [sentence for sentence in sentences if sentence]


def _why_missing(cuda, major, module, name, package, purpose):
    try:
        library = getattr(cuda, module)  # cuBLAS is looked for now, NVRTC when it is called
        version = library.getVersion()[0] if module == "nvrtc" else major
    except (ImportError, RuntimeError):  # cuda-pathfinder's error is one of the latter
        other = _other_major(package, major)
        found = f"only for CUDA {other} ({_package(package, other)})" if other else "not installed"
        return (
            f"the library {name}, which {purpose}, is {found}, and cupy needs it for CUDA {major}: "
            f'pip install "vqv2[cuda{major}]"'
        )
    if version != major:
        return (
            f"the library {name}, which {purpose}, was found for CUDA {version}, and cupy needs it "
            f'for CUDA {major}: pip install "vqv2[cuda{major}]", and look at LD_LIBRARY_PATH'
        )
    return None


def _package(package, major):
    """What NVIDIA calls the package of a library: without the number from CUDA 13 on."""
    return f"{package}-cu{major}" if major < 13 else package


def _other_major(package, major):
    """Another CUDA version than `major` that the library's package is installed for, or None."""
    for other in (11, 12, 13, 14):
        try:
            version = importlib.metadata.version(_package(package, other))
        except importlib.metadata.PackageNotFoundError:
            continue
        if other != major and (other < 13 or version.split(".")[0] == str(other)):
            return other
    return None


def _why_no_driver(runtime):
    driver, built_for = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if driver == 0:
        return f"there is no NVIDIA driver here: install one (nvidia-smi shows it){_OTHERWISE}"
    if driver // 1000 < built_for // 1000:
        return (
            f"the NVIDIA driver here is for CUDA {version(driver)}, but the installed cupy is for "
            f'CUDA {built_for // 1000}: pip install "vqv2[cuda{driver // 1000}]" instead of it, '
            f"install a newer driver{_OTHERWISE}"
        )
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        return f"the NVIDIA driver shows no device ({_first_line(error)}): look at nvidia-smi" + (
            _OTHERWISE
        )
    if count == 0:
        return (
            "the NVIDIA driver shows no device: look at nvidia-smi and at the variable "
            f"CUDA_VISIBLE_DEVICES{_OTHERWISE}"
        )
    return None


def version(number):
    """12040 -> "12.4"."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _first_line(error):
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
