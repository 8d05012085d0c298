"""A headless Chromium that a test drives: the DevTools protocol over two pipes, JSON and zeros."""

import contextlib
import fcntl
import json
import os
import select
import shutil
import time
from subprocess import DEVNULL

from tests.processes import LONG, started

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def why_missing():
    """Why no page can be opened here, or None."""
    return None if _program() else f"there is none of {', '.join(PROGRAMS)} here"


def _program():
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextlib.contextmanager
def page(address, folder, width=1400, height=1000, dark=False):
    """A `Page` at an address, in a browser with an empty profile in `folder`."""
    to_browser, write = _high(os.pipe())
    read, from_browser = _high(os.pipe())

    def place_pipes():
        os.dup2(to_browser, 3)
        os.dup2(from_browser, 4)

    command = [_program(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
               "--disable-dev-shm-usage", f"--user-data-dir={folder}",
               "--remote-debugging-pipe"]  # fmt: skip
    with started(command, preexec_fn=place_pipes, pass_fds=(3, 4), stdout=DEVNULL, stderr=DEVNULL):
        os.close(to_browser)
        os.close(from_browser)
        try:
            opened = Page(read, write)
            opened.show(address, width, height, dark)
            yield opened
            opened.call("Browser.close", {})
        finally:
            os.close(read)
            os.close(write)


def _high(ends):
    """Both ends of a pipe at numbers that are not 3 and 4."""
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 16) for end in ends]
    for end in ends:
        os.close(end)
    return moved


class Page:
    """One page of a browser."""

    def __init__(self, read, write):
        self._read, self._write = read, write
        self._number, self._rest, self._session = 0, b"", None

    def show(self, address, width, height, dark):
        """Open an address in a window of so many CSS pixels."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        how = {"targetId": target, "flatten": True}
        self._session = self.call("Target.attachToTarget", how)["sessionId"]
        window = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", window)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.call("Page.enable", {})
        self.call("Page.navigate", {"url": address})
        self.await_true("location.href != 'about:blank' && document.readyState == 'complete'")

    def call(self, method, parameters):
        """The result of a method of the DevTools protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _next(self):
        while b"\0" not in self._rest:
            assert select.select([self._read], [], [], LONG)[0], "the browser does not answer"
            part = os.read(self._read, 2**16)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def value(self, expression):
        """What a JavaScript expression is; a promise is awaited."""
        how = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        result = self.call("Runtime.evaluate", how)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def await_true(self, expression):
        """Wait until a JavaScript expression is true; for ever is an error."""
        end = time.monotonic() + LONG
        while not self.value(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)

    def click(self, selector):
        """Click what a CSS selector finds first."""
        self.value(f"document.querySelector({json.dumps(selector)}).click()")
