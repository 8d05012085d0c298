"""What computing takes of the process: threads, memory, a device, other processes.

threads.py and allocator.py set up how the thread pools and the C library behave, and so come before
NumPy. communication.py connects several processes; device.py and device_memory.py look at the CUDA
device, whether or not a backend uses it; compilation.py counts what was compiled, and timing.py
measures. Nothing here computes.
"""
