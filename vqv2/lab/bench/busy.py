"""Other work beside a measurement: processes that keep a core each as busy as they can."""

import contextlib
import subprocess
import sys

_WORK = "print(flush=True)\nwhile True: pass"


@contextlib.contextmanager
def busy(count):
    """Inside, `count` processes compute without end; it begins once all of them do."""
    processes = []
    try:
        for _ in range(count):
            command = [sys.executable, "-c", _WORK]
            processes.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        for process in processes:
            process.stdout.readline()
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.communicate()
