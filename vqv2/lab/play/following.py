"""Work that a page follows while it goes on: codes are drawn as fast as the page wishes.

Each generator yields (event, what the page is told). It holds the model for one position at a time,
and ends when the page has gone or has asked for something else.
"""

import time

from vqv2.lab.play.actions import wish_of
from vqv2.lab.play.view import moment_view, session_view

LEAST_INTERVAL = 0.04  # seconds between two pictures


def draw(session, turn, request, model, gone):
    """Draw what is missing; with a `count`, so many codes; `speed` is codes per second, None: all.

    turn   the number of the request: see `Session.take_turn`
    model  the lock around the hierarchy
    gone   called with seconds: waits for as long, at most; whether the page has gone
    """
    wish, left = wish_of(session, request["wish"]), request["count"]
    with model:
        if not session.take_turn(turn):
            return
        drawing = session.draw_with(wish)
    pace = _Pace(request["speed"])
    while True:
        with model:
            if session.turn != turn:
                return
            over = not drawing.place or (drawing.draws and left == 0)
            event = _event(session, wish, over, pace)
        if event:
            yield event
        if over or gone(pace.wait() if drawing.draws else 0):
            return
        with model:
            if session.turn != turn:
                return
            left = left - 1 if drawing.draws and left is not None else left
            session.step(wish.settings)


def _event(session, wish, over, pace):
    """What the page is to be told now; None where it is too early for another picture."""
    if over:
        return "session", session_view(session, wish.settings)
    if not (session.drawing.draws and pace.shows()):
        return None
    start = time.monotonic()
    moment = moment_view(session, wish.settings)
    pace.has_shown(start)
    return "moment", moment


def vary(session, turn, request, model, gone):
    """Draw finer maps for the same top map; the page sees each image when it is done."""
    wish = wish_of(session, request["wish"])
    with model:
        if not session.take_turn(turn):
            return
        work = session.variations(wish, request["count"])
    while not gone(0):
        with model:
            if session.turn != turn:
                return
            done = next(work, None)
            view = session_view(session) if done else None
        if view:
            yield "session", view
        if done is None:
            return


class _Pace:
    """When the next code is due, and when the next picture: none may take most of the time."""

    def __init__(self, speed):
        self.pause = 1 / speed if speed else 0
        self.due = time.monotonic()
        self.next_picture = 0.0

    def wait(self):
        """Seconds until the next code is due, which is then the one to wait for."""
        now = time.monotonic()
        self.due = max(self.due + self.pause, now)
        return self.due - now

    def shows(self):
        """Whether it is time for a picture."""
        return time.monotonic() >= self.next_picture

    def has_shown(self, start):
        """A picture was begun at `start` and is ready now."""
        now = time.monotonic()
        self.next_picture = now + max(LEAST_INTERVAL, 2 * (now - start)) - self.pause
