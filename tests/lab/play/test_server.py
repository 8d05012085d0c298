"""The server: who is let in, how much is taken, and what the page is told."""

import base64
import contextlib
import http.client
import io
import itertools
import json
import socket
import threading
import time

import numpy as np
import pytest
from PIL import Image

from tests.lab.play.untrained import hierarchy
from vqv2.data.images import open_images
from vqv2.errors import InputError
from vqv2.lab.play import PlayServer
from vqv2.lab.play.handler import LARGEST_IMAGE, LARGEST_REQUEST, PAGE, PlayHandler
from vqv2.lab.play.server import MOST_REQUESTS, MOST_SESSIONS

PLAIN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
WISH = {"label": "a", "seed": 3, "settings": {"top": PLAIN, "bottom": PLAIN}}

ENTIRELY = {"wish": WISH, "count": None, "speed": None}


@contextlib.contextmanager
def serving(model):
    with PlayServer(model, "a run") as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@pytest.fixture(scope="module")
def server():
    with serving(hierarchy()) as one:
        yield one


def request(server, method, path, body=None, token=None, **headers):
    """(status, headers, body) of a request as the page makes it, but for some headers."""
    host = f"127.0.0.1:{server.server_port}"
    headers = {"Host": host, "Origin": f"http://{host}", **headers}
    headers = {name: value for name, value in headers.items() if value is not None}
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, f"/{token or server.token}/{path}", body, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def ask(server, path, content=None, status=200):
    """What the page is told."""
    found, _, body = request(server, "POST", f"api/{path}", json.dumps(content or {}))
    assert found == status, body
    return json.loads(body)


def follow(server, path, content):
    """[(event, what was told)] of a stream."""
    status, headers, body = request(server, "POST", f"api/{path}", json.dumps(content))
    assert status == 200 and headers["Content-Type"].startswith("text/event-stream")
    messages = [message.split("\n") for message in body.decode().split("\n\n")[:-1]]
    return [(m[0].removeprefix("event: "), json.loads(m[1].removeprefix("data: ")))
            for m in messages]  # fmt: skip


class Opened:
    """A new session: in a path its name, and the number of the request."""

    def __init__(self, server):
        self.name, self._turns = ask(server, "open")["session"], itertools.count(1)

    def __str__(self):
        return f"{self.name}/{next(self._turns)}"


@pytest.fixture
def session(server):
    return Opened(server)


def test_the_page_lies_behind_the_token_alone_and_asks_nobody_else(server):
    for name, (_, kind) in PAGE.items():
        status, headers, body = request(server, "GET", name, Origin=None)
        assert status == 200 and headers["Content-Type"].startswith(kind) and body
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers
        assert b"http://" not in body and b"https://" not in body
    assert server.address == f"http://127.0.0.1:{server.server_port}/{server.token}/"
    assert server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("wrong", [
    {"token": "x" * 32}, {"token": "%C3%A9"}, {"token": "api"}, {"Host": "evil.example"},
    {"Host": "127.0.0.1:1"}, {"Host": ""}, {"Origin": "http://evil.example"}, {"Origin": "null"},
    {"Origin": None},
], ids=str)  # fmt: skip
def test_whoever_is_not_the_page_is_refused(server, wrong):
    for path in ("api/open", "api/model"):
        status, headers, body = request(server, "POST", path, "{}", **wrong)
        assert status in (400, 403) and list(json.loads(body)) == ["problem"]
        assert "Access-Control-Allow-Origin" not in headers
    if "Origin" not in wrong:
        assert request(server, "GET", "", **wrong)[0] in (400, 403)


@pytest.mark.parametrize("path", ["../../etc/passwd", "page/index.html", "server.py", "%2e%2e/"])
def test_only_the_page_is_served(server, path):
    assert request(server, "GET", path)[0] == 404


def test_drawing_is_followed_and_equals_sampling(server, session):
    events = follow(server, f"{session}/draw", ENTIRELY)
    told = events[-1][1]
    sampled = server.hierarchy.sample_codes(1, "a", 3)
    assert events[-1][0] == "session" and told["complete"] and told["class_name"] == "a"
    assert told["codes"] == {level: maps.ravel().tolist() for level, maps in sampled.items()}
    assert told["image"].startswith("data:image/png;base64,")
    assert ask(server, f"{session}/look") == told


def test_single_steps_tell_what_may_come_next(server, session):
    [(_, told)] = follow(server, f"{session}/draw", {"wish": WISH, "count": 0, "speed": None})
    assert told["next"]["level"] == "top" and not told["can_undo"]
    assert told["next"]["class_name"] == "a"
    events = follow(server, f"{session}/draw", {"wish": WISH, "count": 2, "speed": 1000})
    told = events[-1][1]
    assert sum(code >= 0 for code in told["codes"]["top"]) == 2 and told["can_undo"]
    following = told["next"]
    assert (following["level"], following["row"], following["column"]) == ("top", 0, 2)
    chances = [chance for _, chance, _ in following["bars"]]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) + following["rest"] == pytest.approx(1)


def test_edits_and_undo_reach_the_session(server, session):
    follow(server, f"{session}/draw", ENTIRELY)
    place = {"level": "top", "rectangle": [0, 0, 2, 2]}
    told = ask(server, f"{session}/erase", {**place, "finer": True})
    assert told["codes"]["top"].count(-1) == 4 and told["codes"]["bottom"].count(-1) == 16
    told = ask(server, f"{session}/put", {**place, "code": 7})
    assert told["codes"]["top"].count(-1) == 0
    assert ask(server, f"{session}/undo")["codes"]["top"].count(-1) == 4
    assert len(ask(server, f"{session}/keep")["kept"]) == 1
    events = follow(server, f"{session}/draw", {"wish": {**WISH, "seed": 4}, "count": None,
                                                "speed": None})  # fmt: skip
    assert events[-1][1]["complete"]
    events = follow(server, f"{session}/vary", {"wish": WISH, "count": 2})
    assert len(events[-1][1]["kept"]) == 3


def png(size=(40, 30), kind="PNG"):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def pixels_of(address):
    """uint8 pixels of a `data:` address."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def test_an_image_is_encoded_and_looked_at_as_reconstruct_does(server, session, tmp_path):
    (tmp_path / "image.png").write_bytes(png())
    image = open_images(str(tmp_path / "image.png"), 16, 3, "all").batch([0])
    status, _, body = request(server, "POST", f"api/{session}/image", png())
    codes = server.hierarchy.encode(image)
    assert status == 200
    assert json.loads(body)["codes"] == {k: v.ravel().tolist() for k, v in codes.items()}
    told = ask(server, f"{session}/inspect", {"label": "b"})
    for subset in told["subsets"]:
        expected = server.hierarchy.decode(codes, subset["levels"])[0]
        np.testing.assert_array_equal(pixels_of(subset["image"]), np.rint(expected * 255))
        mse = ((expected.astype(np.float64) - image[0]) ** 2).mean()
        assert subset["psnr"] == pytest.approx(-10 * np.log10(mse), abs=0.006)
    coarser = []
    for level, prior in server.hierarchy.priors.items():
        maps = codes[level].astype(np.int64)
        nats = prior.loss(maps, np.array([1]), coarser).item()
        assert np.mean(told["bits"][level]) == pytest.approx(nats / np.log(2), abs=2e-3)
        coarser.append(maps)
    every = {c: ask(server, f"{session}/inspect", {"label": c})["bits"] for c in "abc"}
    sums = {c: sum(np.sum(bits) for bits in found.values()) for c, found in every.items()}
    likeliest = ask(server, f"{session}/inspect", {"label": None})["class_name"]
    assert likeliest == min(sums, key=sums.get)


REFUSED = [
    ("undo", {}, "nothing to undo"),
    ("erase", {"level": "top", "rectangle": [0, 0, 9, 1], "finer": True}, "does not lie in"),
    ("erase", {"level": "top", "rectangle": [0, 0, 1], "finer": True}, "four numbers"),
    ("erase", {"level": "top", "rectangle": [0, 0, 1, 1.5], "finer": True}, "whole number"),
    ("put", {"level": "side", "rectangle": [0, 0, 1, 1], "code": 0}, "no level 'side'"),
    ("put", {"level": "top", "rectangle": [0, 0, 1, 1]}, "lacks 'code'"),
    ("take", {"number": 3}, "no kept image 3"),
    ("take", {"number": -1}, "whole number from 0"),
    ("draw", {"wish": {**WISH, "seed": 2.5}, "count": None, "speed": None}, "'seed'"),
    ("draw", {"wish": {**WISH, "seed": None}, "count": None, "speed": None}, "'seed'"),
    ("draw", {"wish": {**WISH, "label": "z"}, "count": None, "speed": None}, "no class 'z'"),
    ("draw", {"wish": {**WISH, "settings": {"top": PLAIN}}, "count": None, "speed": None},
     "each of the levels top, bottom"),
    ("draw", {"wish": {**WISH, "settings": {level: {**PLAIN, "top_p": 2.0} for level in
                                            ("top", "bottom")}}, "count": 1, "speed": None},
     "top-p 2.0"),
    ("vary", {"wish": WISH, "count": 1}, "top map has gaps"),
    ("vary", {"wish": WISH, "count": 1000}, "whole number from 1 to"),
]  # fmt: skip


@pytest.mark.parametrize("action, content, words", REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_done_is_a_sentence(server, session, action, content, words):
    told = ask(server, f"{session}/{action}", content, status=422)
    assert words in told["problem"] and "\n" not in told["problem"]


def test_bodies_are_bounded(server, session):
    path = f"api/{session.name}/1"
    for body, status, words in [
        (b"x" * (LARGEST_REQUEST + 1), 413, "at most"), (b"{", 422, "cannot be read"),
        (b"[]", 422, "no JSON object"), (b"[" * 60000, 422, "nested"), (b'{"a": 1e9999}', 422, ""),
    ]:  # fmt: skip
        found, _, told = request(server, "POST", f"{path}/take", body)
        assert found == status and words in json.loads(told)["problem"]
    for body, status, words in [
        (b"no image", 422, "the file cannot be used"), (png((9, 9)), 422, "too small"),
        (bytes(LARGEST_IMAGE + 1), 413, "at most"), (b"", 422, "the file cannot be used"),
    ]:  # fmt: skip
        found, _, told = request(server, "POST", f"{path}/image", body)
        assert found == status and words in json.loads(told)["problem"]
        assert "/tmp" not in json.loads(told)["problem"]
    assert request(server, "POST", f"{path}/take", [b"{}"])[0] == 411  # chunked
    assert request(server, "DELETE", "")[0] == 501


def test_sessions_are_few_and_apart(server, session):
    follow(server, f"{session}/draw", {"wish": WISH, "count": 3, "speed": None})
    other = Opened(server)
    assert max(ask(server, f"{other}/look")["codes"]["top"]) == -1
    for _ in range(MOST_SESSIONS - 1):
        ask(server, "open")
    assert "load it again" in ask(server, f"{session}/look", status=410)["problem"]
    assert "load it again" in ask(server, "nobody/1/look", status=410)["problem"]


def test_a_hundred_requests_at_once_are_answered_or_told_to_come_again(server, session):
    follow(server, f"{session}/draw", {"wish": WISH, "count": 3, "speed": None})
    found, start = [], threading.Event()

    def one():
        start.wait()
        found.append(request(server, "POST", f"api/{session}/keep", "{}")[0])

    threads = [threading.Thread(target=one) for _ in range(100)]
    for thread in threads:
        thread.start()
    start.set()
    for thread in threads:
        thread.join()
    assert len(found) == 100 and set(found) <= {200, 422, 503} and found.count(200) <= 24
    assert found.count(200) == len(ask(server, f"{session}/look")["kept"])


def test_idle_connections_take_no_more_than_their_places(server):
    address = ("127.0.0.1", server.server_port)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(address, 60))
                for _ in range(MOST_REQUESTS + 1)]  # fmt: skip
        assert idle[-1].recv(2**12).startswith(b"HTTP/1.0 503 ")
    await_true(lambda: request(server, "GET", "")[0] == 200)


def test_who_asks_byte_by_byte_is_not_waited_for(server, session, monkeypatch):
    monkeypatch.setattr(PlayHandler, "timeout", 0.5)
    with socket.create_connection(("127.0.0.1", server.server_port), 60) as slow:
        slow.setblocking(False)

        def is_closed():
            with contextlib.suppress(BlockingIOError):
                slow.send(b"x")
                return not slow.recv(1)

        with contextlib.suppress(ConnectionError):
            await_true(is_closed)
    await_true(lambda: busy(server) == 0)


def test_a_page_at_the_port_of_the_web_is_known_by_its_name_alone(server, monkeypatch):
    monkeypatch.setattr(server, "server_port", 80)
    assert server.hosts == {"127.0.0.1", "localhost"}  # as browsers send it


def await_true(is_true):
    end = time.monotonic() + 120
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_browser_that_has_gone_stops_the_work(server, session):
    body = json.dumps({"wish": WISH, "count": None, "speed": 1})
    host = f"127.0.0.1:{server.server_port}"
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request("POST", f"/{server.token}/api/{session}/draw", body,
                       {"Host": host, "Origin": f"http://{host}"})  # fmt: skip
    answer = connection.getresponse()
    answer.readline()
    assert busy(server) == 1
    answer.close()
    connection.close()
    await_true(lambda: busy(server) == 0)
    follow(server, f"{session}/draw", ENTIRELY)  # goes on


def busy(server):
    return MOST_REQUESTS - server._slots._value


def test_another_request_takes_the_place_of_the_work_before(server, session):
    slow = threading.Thread(
        target=follow,
        args=(server, f"{session}/draw", {"wish": WISH, "count": None, "speed": 1}),
    )
    slow.start()
    await_true(lambda: busy(server) == 1)
    ask(server, f"{session}/start_over")
    slow.join(120)
    assert not slow.is_alive()
    follow(server, f"{session}/draw", {"wish": {**WISH, "seed": 9}, "count": 0, "speed": None})
    assert follow(server, f"{session.name}/1/draw", ENTIRELY) == []  # comes too late
    assert ask(server, f"{session}/look")["drawing"]["seed"] == 9
    assert max(ask(server, f"{session}/look")["codes"]["top"]) == -1


def test_a_port_that_cannot_be_used_is_a_sentence(server):
    for port in (server.server_port, 70000):
        with pytest.raises(InputError, match=f"port {port} cannot be used"):
            PlayServer(server.hierarchy, "", port)
