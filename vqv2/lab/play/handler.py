"""One HTTP request: who may ask, how much, and the answer."""

import contextlib
import functools
import io
import itertools
import json
import secrets
import select
import socket
import time
from http.server import BaseHTTPRequestHandler
from importlib import resources

from backends import BackendError
from vqv2.errors import InputError
from vqv2.files import parse_json
from vqv2.lab.play import actions, following
from vqv2.lab.play.pixels import read_image
from vqv2.lab.play.view import inspection_view, session_view

LARGEST_REQUEST = 2**16  # bytes of JSON
LARGEST_IMAGE = 2**25  # bytes of an image's file
PATIENCE = 10.0  # seconds for a request's head, for each part of its body, and of the answer
PAGE = {
    "": ("index.html", "text/html"),
    "play.css": ("play.css", "text/css"),
    **{
        f"{name}.js": (f"{name}.js", "text/javascript")
        for name in ("play", "asking", "codebook", "elements", "inspection", "maps")
    },
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
BUSY = b'{"problem": "too many requests at once: wait a moment"}'
REFUSAL = (
    b"HTTP/1.0 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BUSY), BUSY)
)
FOLLOWED = {"draw": following.draw, "vary": following.vary}


class Refused(Exception):
    """A request that is not answered: (status, sentence)."""


class PlayHandler(BaseHTTPRequestHandler):
    """Answers the page's requests; `self.server` is the `PlayServer`."""

    timeout = PATIENCE

    def setup(self):
        """As every handler, but for whoever sends byte by byte."""
        super().setup()
        self.rfile.close()
        self._arriving = _Arriving(self.connection, self.timeout)
        self.rfile = io.BufferedReader(self._arriving)

    def do_GET(self):
        """The page and what it is made of."""
        with self._sentences():
            self._check_sender()
            if (name := self._path()) not in PAGE:
                raise Refused(404, "there is no such page")
            file, kind = PAGE[name]
            self.answer(200, _content(file), f"{kind}; charset=utf-8")

    def do_POST(self):
        """All that the page asks for: api/model, api/open, api/SESSION/TURN/ACTION."""
        with self._sentences():
            self._check_sender()
            self._check_page()
            match self._path().split("/"):
                case ["api", "model"]:
                    self._tell(self.server.model_view())
                case ["api", "open"]:
                    self._tell({"session": self.server.open_session()})
                case ["api", name, turn, action]:
                    self._act(self._session(name), _number(turn), action)
                case _:
                    raise Refused(404, "there is no such request")

    @contextlib.contextmanager
    def _sentences(self):
        """Inside, what cannot be done becomes an answer of one sentence."""
        self.following = False
        try:
            yield
        except Refused as refusal:
            self._complain(*refusal.args)
        except (InputError, BackendError, MemoryError) as error:
            self._complain(422, str(error) or "not enough memory")
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # the browser has gone
        except Exception:
            self._complain(500, "something went wrong; the terminal of vqv2 play says what")
            raise

    def _check_sender(self):
        """Refuse whoever does not know the token, or reaches this machine by another name."""
        if self.headers.get("Host") not in self.server.hosts:
            raise Refused(403, "this page has one address: the one that vqv2 play has printed")
        parts = self.path.split("/", 2)  # nothing, the token, the rest
        token = parts[1] if len(parts) == 3 and not parts[0] else ""
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            raise Refused(403, "the address is not complete: copy the one that vqv2 play prints")

    def _check_page(self):
        """Refuse requests that another page makes a browser send."""
        if self.headers.get("Origin") != f"http://{self.headers['Host']}":
            raise Refused(403, "only the page itself may ask for this")

    def _path(self):
        """The path behind the token."""
        return self.path.split("?")[0].split("/", 2)[2]

    def _session(self, name):
        try:
            return self.server.session(name)
        except KeyError:
            raise Refused(410, "this page was set aside for newer ones: load it again") from None

    def _act(self, session, turn, action):
        if action == "image":
            image = read_image(self._body(LARGEST_IMAGE, "an image"), self.server.hierarchy)
            self._change(session, turn, lambda: session.open_image(image))
            return
        if action not in actions.FIELDS:
            raise Refused(404, "there is no such request")
        request = actions.checked(action, self._json())
        if action in FOLLOWED:
            work = FOLLOWED[action](session, turn, request, self.server.model, self._gone)
            self._follow(work)
        elif action == "inspect":
            with self.server.model:
                view = inspection_view(session, request["label"])
            self._tell(view)
        else:
            self._change(session, turn, lambda: actions.edit(session, action, request))

    def _change(self, session, turn, change):
        with self.server.model:
            session.take_turn(turn)
            change()
            view = session_view(session)
        self._tell(view)

    def _follow(self, work):
        """Answer with server-sent events, one for each thing that the work yields."""
        first = list(itertools.islice(work, 1))  # what cannot be done is said before the answer
        self._begin(200, "text/event-stream; charset=utf-8")
        self.following = True
        for event in itertools.chain(first, work):
            self._send_event(*event)

    def _send_event(self, event, told):
        self.wfile.write(f"event: {event}\ndata: {json.dumps(told)}\n\n".encode())

    def _gone(self, seconds):
        """Wait so many seconds; at once, and true, when the browser closes the connection."""
        readable, _, _ = select.select([self.connection], [], [], seconds)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _json(self):
        try:
            return parse_json(self._body(LARGEST_REQUEST, "a request"))
        except ValueError as error:
            raise InputError(f"the request cannot be read: {error}") from None

    def _body(self, largest, what):
        """What was sent, at most so many bytes."""
        self._arriving.end = None
        text = self.headers.get("Content-Length", "")
        if not (text.isascii() and text.isdecimal()):
            raise Refused(411, "the request does not say how long it is")
        length = int(text) if len(text) < 20 else largest + 1
        if length > largest:
            self._discard(min(length, 8 * largest))
            raise Refused(413, f"{what} may have {largest / 2**20:g} MB, at most")
        content = self.rfile.read(length)
        if len(content) < length:
            raise Refused(400, "the request has ended early")
        return content

    def _discard(self, length):
        """Read on, so that a browser that is still sending sees the answer."""
        while length > 0 and (part := self.rfile.read(min(length, 2**16))):
            length -= len(part)

    def _complain(self, status, sentence):
        told = {"problem": sentence}
        if self.following:
            self._send_event("problem", told)
        else:
            self.answer(status, json.dumps(told).encode(), "application/json")

    def _tell(self, told):
        self.answer(200, json.dumps(told).encode(), "application/json")

    def answer(self, status, content, kind):
        """Answer with bytes of a kind, whole."""
        self._begin(status, kind, len(content))
        self.wfile.write(content)

    def _begin(self, status, kind, length=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()

    def send_error(self, code, message=None, explain=None):
        """What is no proper request gets its sentence as all others do."""
        self.close_connection, self.following = True, False
        self._complain(code, message or "this cannot be asked for")

    def version_string(self):
        """Which program answers."""
        return "vqv2"

    def log_message(self, *arguments):
        """Nothing: the terminal belongs to whoever plays, and addresses hold the token."""


class _Arriving(io.RawIOBase):
    """What a connection brings until `end`, however it is cut up; None: for as long as parts come.

    Raises `TimeoutError`.
    """

    def __init__(self, connection, seconds):
        self.connection = connection
        self.end = time.monotonic() + seconds

    def readable(self):
        """It can only be read."""
        return True

    def readinto(self, buffer):
        """Wait for some bytes; returns how many there are."""
        patience = self.connection.gettimeout()
        if self.end is not None:
            self.connection.settimeout(self._left())
        try:
            return self.connection.recv_into(buffer)
        finally:
            self.connection.settimeout(patience)

    def _left(self):
        if (left := self.end - time.monotonic()) <= 0:
            raise TimeoutError
        return left


def _number(text):
    """The number of a request."""
    if not (text.isascii() and text.isdecimal() and len(text) < 17):
        raise Refused(404, "there is no such request")
    return int(text)


@functools.cache
def _content(file):
    return resources.files("vqv2.lab.play").joinpath("page", file).read_bytes()
