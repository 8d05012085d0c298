"""Whether a CUDA device can be used here, and if not, what is missing."""

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
    return _why_no_driver(cupy.cuda.runtime)


def _why_no_driver(runtime):
    driver, built_for = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if driver == 0:
        return f"there is no NVIDIA driver here: install one (nvidia-smi shows it){_OTHERWISE}"
    if driver // 1000 < built_for // 1000:
        return (
            f"the NVIDIA driver here is for CUDA {_version(driver)}, but the installed cupy is for "
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


def device_description():
    """Name, memory and versions of the device that the cupy backend computes on, for people."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    free, total = cupy.cuda.runtime.memGetInfo()
    return (
        f"{properties['name'].decode()}, compute capability {properties['major']}."
        f"{properties['minor']}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free, CUDA "
        f"{_version(cupy.cuda.runtime.runtimeGetVersion())}"
    )


def _version(number):
    """12040 -> "12.4"."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _first_line(error):
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
