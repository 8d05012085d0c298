"""The page's server: loopback only, a secret address, one lock around the model.

Whoever has the token may play; it is in the path, so that other pages in the same browser, which
cannot read it, get nowhere. They are refused by their `Origin`, too, and names that somebody had
resolve to this machine by their `Host`.
"""

import collections
import contextlib
import secrets
import socket
import sys
import threading
from http.server import ThreadingHTTPServer

from vqv2.errors import InputError
from vqv2.lab.play.handler import REFUSAL, PlayHandler
from vqv2.lab.play.session import Session
from vqv2.lab.play.view import model_view

LOOPBACK = "127.0.0.1"
WEB = 80
MOST_REQUESTS = 32  # at once; what comes beyond is told to come again
QUEUE = 0.5  # seconds that one more waits for others to end
GRACE = 0.1  # seconds for what a browser still sends
MOST_UNREAD = 16  # parts of that
MOST_SESSIONS = 16


class PlayServer(ThreadingHTTPServer):
    """Serves the page of one `Hierarchy` until `shutdown`.

    name  what to call the hierarchy on the page
    port  0 chooses a free one

    Raises `InputError` when the port cannot be used.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, hierarchy, name, port=0):
        self.hierarchy = hierarchy
        self.name = name
        self.token = secrets.token_urlsafe(24)
        self.model = threading.Lock()
        self._sessions = collections.OrderedDict()
        self._slots = threading.Semaphore(MOST_REQUESTS)
        self._model_view = None
        try:
            super().__init__((LOOPBACK, port), PlayHandler)
        except (OSError, OverflowError) as error:
            raise InputError(f"port {port} cannot be used ({error}): choose another") from None

    @property
    def hosts(self):
        """What a request's `Host` may be; browsers leave the port of every web server out."""
        port = "" if self.server_port == WEB else f":{self.server_port}"
        return {f"{name}{port}" for name in (LOOPBACK, "localhost")}

    @property
    def address(self):
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    def model_view(self):
        """What the page is told of the hierarchy."""
        with self.model:
            if self._model_view is None:
                self._model_view = model_view(self.hierarchy, self.name)
            return self._model_view

    def open_session(self):
        """The name of a new session. The one that was not used for longest may have to go."""
        name = secrets.token_urlsafe(12)
        with self.model:
            self._sessions[name] = Session(self.hierarchy)
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return name

    def session(self, name):
        """The session of a name. Raises `KeyError`."""
        with self.model:
            self._sessions.move_to_end(name)
            return self._sessions[name]

    def process_request(self, request, client_address):
        """Handle a request in a thread of its own, as soon as there are not too many."""
        if self._slots.acquire(timeout=QUEUE):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.settimeout(GRACE)
            request.sendall(REFUSAL)
        self.shutdown_request(request)

    def process_request_thread(self, request, client_address):
        """As every `ThreadingHTTPServer`; the place is free again afterwards."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def shutdown_request(self, request):
        """Close a connection, a moment after the answer: who is still sending sees it, too."""
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_WR)
            request.settimeout(GRACE)
            for _ in range(MOST_UNREAD):
                if not request.recv(2**16):
                    break
        self.close_request(request)

    def handle_error(self, request, client_address):
        """As every server, which prints what went wrong; a browser that has gone is no error."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)
