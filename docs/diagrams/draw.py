"""Draw the diagrams of the documentation: python docs/diagrams/draw.py

Each function returns a `Canvas`; its name is the name of the SVG file beside this one. The numbers
in the first one come from the tape of the library. A test compares the files with what this draws.
"""

from pathlib import Path

import numpy as np
from canvas import BLUE, GREEN, GREY, INK, ORANGE, PALE, Canvas

from vqv2 import Tensor

FOLDER = Path(__file__).parent


def tape():
    """The tape of L = (a b + a)^2: values forward, cotangents backward."""
    a, b = (Tensor(np.array(value), requires_grad=True) for value in (2.0, -3.0))
    p = a.array * b.array
    s = p + a.array
    result = (a * b + a) ** 2
    result.backward()
    to_s = 2 * s
    assert result.array == s**2 and a.grad == to_s + to_s * b.array and b.grad == to_s * a.array

    canvas = Canvas(980, 430, "The tape of L = (ab + a)^2 with the cotangents that come back")
    places = {"a": (125, 110), "b": (125, 330), "p": (370, 245), "s": (630, 150), "L": (880, 150)}
    words = {
        "a": f"a = {a.array:g}",
        "b": f"b = {_number(b.array)}",
        "p": f"p = a · b\n= {_number(p)}",
        "s": f"s = p + a\n= {_number(s)}",
        "L": f"L = s²\n= {_number(s**2)}",
    }
    edges = [
        ("L", "s", f"1 · 2s = {_number(to_s)}", (0, 24)),
        ("s", "p", f"{_number(to_s)} · 1 = {_number(to_s)}", (38, 32)),
        ("s", "a", f"{_number(to_s)} · 1 = {_number(to_s)}", (0, -24)),
        ("p", "a", f"{_number(to_s)} · b = {_number(to_s * b.array)}", (58, -18)),
        ("p", "b", f"{_number(to_s)} · a = {_number(to_s * a.array)}", (36, 30)),
    ]
    for end, start, label, (right, down) in edges:
        _both_ways(canvas, places[start], places[end])
        x, y = (np.array(places[start]) + places[end]) / 2
        canvas.text(x + right, y + down, label, ORANGE)
    for name, (x, y) in places.items():
        leaf = name in "ab"
        canvas.box(x, y, 130, 58, words[name], BLUE, "#EAF3FA" if leaf else "white", 17)
    below = {
        "a": f"{_number(to_s)} + {_number(to_s * b.array)} = {_number(a.grad)}",
        "b": _number(b.grad),
        "p": _number(to_s),
        "s": _number(to_s),
        "L": "1",
    }
    for name, text in below.items():
        x, y = places[name]
        above = name in "asL"
        canvas.text(
            x, y - 46 if above else y + 46, f"dL/d{name} = {text}", ORANGE, 16, weight="bold"
        )
    legend = [
        ("forward: values, and who was computed from whom", GREY),
        ("backward: cotangent of the output · local derivative", ORANGE),
        ("a is used twice: what its two uses send is added", INK),
    ]
    for number, (words, ink) in enumerate(legend):
        canvas.text(560, 330 + 28 * number, words, ink, 15, "start")
    canvas.arrow((495, 330), (545, 330), ink=GREY)
    canvas.arrow((545, 358), (495, 358), ink=ORANGE)
    return canvas


def _number(value):
    return f"{float(value):g}".replace("-", "−")


def _both_ways(canvas, start, end):
    """A grey arrow there and an orange one back, side by side, between the edges of two boxes."""
    start, end = np.array(start, float), np.array(end, float)
    way = (end - start) / np.linalg.norm(end - start)
    first = start + way * _reach(way)
    last = end - way * _reach(way)
    aside = 6 * np.array([-way[1], way[0]])
    canvas.arrow(tuple((first - aside).round(1)), tuple((last - aside).round(1)), ink=GREY)
    canvas.arrow(tuple((last + aside).round(1)), tuple((first + aside).round(1)), ink=ORANGE)


def _reach(way):
    """How far the edge of a box of 130 x 58 is from its middle in a direction, and a bit more."""
    return min(65 / max(abs(way[0]), 1e-9), 29 / max(abs(way[1]), 1e-9)) + 5


def hierarchy():
    """The two-level autoencoder at the paper's sizes for 256x256 pixels."""
    canvas = Canvas(1060, 430, "The two-level autoencoder: which part is told what")
    low, high = 290, 105
    canvas.text(20, high - 72, "top level, 32 × 32 places: what is global", BLUE, 15, "start")
    canvas.text(20, low + 92, "bottom level, 64 × 64 places: what is local", GREEN, 15, "start")
    canvas.box(75, low, 124, 70, "image\n256 × 256 × 3", fill=PALE)
    canvas.box(230, low, 120, 70, "encoder\n÷ 4")
    canvas.box(230, high, 120, 70, "encoder\n÷ 2")
    canvas.box(430, high, 140, 70, "nearest of\n512 vectors", BLUE, "#EAF3FA")
    canvas.box(430, low, 130, 70, "join,\n1 × 1 conv.")
    canvas.box(430, 198, 110, 50, "decoder × 2", ORANGE)
    canvas.box(620, low, 140, 70, "nearest of\n512 vectors", GREEN, "#E9F5F1")
    canvas.box(820, low, 120, 70, "join,\ndecoder × 4")
    canvas.box(985, low, 110, 70, "image again", fill=PALE)
    canvas.box(820, high, 120, 50, "enlarge × 2", ORANGE)
    canvas.arrow((137, low), (170, low))
    canvas.arrow((230, low - 35), (230, high + 35))
    canvas.arrow((290, low), (365, low))
    canvas.arrow((290, high), (360, high))
    canvas.arrow((430, high + 35), (430, 173), ink=ORANGE)
    canvas.arrow((430, 223), (430, low - 35), ink=ORANGE)
    canvas.text(
        500, 200, "the bottom is told the top,\nso that it need not repeat it", ORANGE, 14, "start"
    )
    canvas.arrow((495, low), (550, low))
    canvas.arrow((690, low), (760, low))
    canvas.arrow((500, high), (760, high), ink=ORANGE)
    canvas.arrow((820, high + 25), (820, low - 35), ink=ORANGE)
    canvas.arrow((880, low), (930, low))
    canvas.text(630, high - 24, "top codes → their vectors", BLUE, 14)
    canvas.text(640, low + 56, "bottom codes → their vectors", GREEN, 14)
    canvas.text(
        1040, 400, "Algorithm 1, Table 3. The priors learn the two maps of codes.", GREY, 13, "end"
    )
    return canvas


def layers():
    """A gated layer and an attention block of the prior."""
    canvas = Canvas(1080, 690, "A gated layer and an attention block of the prior")
    _gated_layer(canvas, 235)
    canvas.arrow((500, 20), (500, 670), ink=GREY, line=1, dashed=True, head=False)
    _attention_block(canvas, 790)
    return canvas


def _gated_layer(canvas, x):
    canvas.text(x, 30, "a gated layer", size=18, weight="bold")
    canvas.box(x, 80, 150, 36, "x", fill=PALE)
    steps = [(140, "ELU, causal 5 × 5"), (200, "ELU, 1 × 1"), (330, "[a, b]")]
    for (y, words), above in zip(steps, (80, 140, 260), strict=True):
        canvas.arrow((x, above + (13 if above == 260 else 18)), (x, y - 18))
        canvas.box(x, y, 170, 36, words)
    canvas.arrow((x, 218), (x, 247))
    canvas.dot(x, 260, "+")
    canvas.text(x + 95, 141, "neighbours", GREY, 13, "start")
    canvas.text(x + 95, 201, "2 × as many channels", GREY, 13, "start")
    canvas.box(x + 165, 260, 130, 50, "condition: the\ntop, the class", ORANGE, size=14)
    canvas.arrow((x + 100, 260), (x + 14, 260), ink=ORANGE)
    canvas.arrow((x, 348), (x, 390))
    canvas.box(x, 410, 170, 40, "a · sigmoid(b)", BLUE, "#EAF3FA")
    canvas.text(x + 95, 411, "what, and how much", GREY, 13, "start")
    _ending(canvas, x, x - 75, x - 150)


def _ending(canvas, x, start, left):
    """Dropout, and the residual connection from the box that ends at `start` round by `left`."""
    canvas.arrow((x, 430), (x, 472))
    canvas.box(x, 490, 170, 36, "dropout (training)")
    canvas.arrow((x, 508), (x, 562))
    canvas.dot(x, 576, "+")
    canvas.arrow((x, 590), (x, 622))
    canvas.box(x, 641, 150, 36, "x of the next layer", fill=PALE, size=14)
    canvas.arrow((start, 80), (left, 80), (left, 576), (x - 15, 576), ink=GREEN)
    canvas.text(left + 6, 600, "residual connection", GREEN, 13, "start")


def _attention_block(canvas, x):
    canvas.text(x, 30, "an attention block", size=18, weight="bold")
    canvas.box(x - 100, 80, 150, 36, "x", fill=PALE)
    canvas.box(x + 85, 80, 150, 36, "position: row, column", fill=PALE, size=13)
    canvas.box(x + 225, 80, 100, 36, "codes'\nvectors", fill=PALE, size=13)
    canvas.box(x - 40, 170, 110, 36, "queries, 1 × 1", size=14)
    canvas.box(x + 95, 170, 100, 36, "keys, 1 × 1", size=14)
    canvas.box(x + 215, 170, 110, 36, "values, 1 × 1", size=14)
    for target, ways in ((-40, (-60, 60)), (95, (-45, 85, 200)), (215, (-30, 110, 235))):
        for way in ways:
            canvas.arrow((x + way, 98), (x + target + (way - target) / 8, 151), ink=GREY, line=1.2)
    canvas.box(
        x + 90,
        250,
        300,
        50,
        "attention, in several heads: each place\nreads the earlier ones",
        BLUE,
        "#EAF3FA",
        14,
    )
    for start in (-35, 95, 205):
        canvas.arrow((x + start, 188), (x + start, 224))
    canvas.box(x + 90, 325, 120, 36, "ELU, 1 × 1", size=14)
    canvas.arrow((x + 90, 275), (x + 90, 306))
    canvas.box(x - 100, 325, 120, 36, "ELU, 1 × 1", size=14)
    canvas.arrow((x - 130, 98), (x - 130, 306))
    canvas.dot(x, 325, "+")
    canvas.arrow((x - 40, 325), (x - 15, 325))
    canvas.arrow((x + 30, 325), (x + 15, 325))
    canvas.arrow((x, 339), (x, 385))
    _ending(canvas, x, x - 175, x - 235)
    canvas.box(x, 410, 200, 50, "ELU, 1 × 1, + condition\na · sigmoid(b)", BLUE, "#EAF3FA", 14)


def conditioning():
    """How the bottom prior is told the top codes."""
    canvas = Canvas(
        1080, 560, "The conditioning stack, and where its output enters the bottom prior"
    )
    canvas.text(280, 28, "conditioning stack: may look everywhere", ORANGE, 17, weight="bold")
    canvas.box(110, 80, 160, 44, "top codes 32 × 32", BLUE, "#EAF3FA")
    canvas.box(110, 150, 160, 44, "embedding")
    canvas.box(110, 220, 160, 44, "enlarge to 64 × 64")
    for y in (102, 172):
        canvas.arrow((110, y), (110, y + 26))
    rows = {"64 × 64": 300, "32 × 32": 390, "16 × 16": 480}
    for words, y in rows.items():
        canvas.text(20, y, words, GREY, 13, "start")
    blocks = [(130, 300, 10), (210, 390, 10), (290, 480, 20), (370, 390, 10), (450, 300, 10)]
    for x, y, count in blocks:
        canvas.box(x, y, 90, 44, f"{count} blocks", ORANGE, "#FDF1E7", 14)
    canvas.arrow((110, 242), (110, 277))
    canvas.arrow((145, 322), (190, 367))
    canvas.arrow((225, 412), (270, 457))
    canvas.arrow((310, 457), (355, 412))
    canvas.arrow((390, 367), (435, 322))
    canvas.arrow((175, 300), (404, 300), ink=GREEN)
    canvas.arrow((255, 390), (324, 390), ink=GREEN)
    canvas.text(290, 288, "added", GREEN, 13)
    canvas.text(
        290, 520, "block: x + 1 × 1 (ReLU 3 × 3 (ReLU 1 × 1 (ReLU batch norm. (x))))", GREY, 13
    )

    x = 850
    canvas.text(x, 28, "bottom prior: sees the past only", size=17, weight="bold")
    steps = ["bottom codes 64 × 64", "embedding", "causal 5 × 5, centre closed"]
    steps += ["gated layer 1", "gated layer 2", "gated layer 20", "logits: 512 for each place"]
    heights = [80, 145, 210, 285, 350, 430, 510]
    for number, (words, y) in enumerate(zip(steps, heights, strict=True)):
        told = words.startswith("gated")
        if number:
            canvas.arrow((x, heights[number - 1] + 22), (x, y - 24), dashed=words.endswith("20"))
        fill = "#E9F5F1" if number == 0 else "white"
        canvas.box(x, y, 220, 44, words, GREEN if number == 0 else INK, fill)
        if told:
            canvas.arrow((600, 300), (600, y), (x - 112, y), ink=ORANGE)
    canvas.arrow((495, 300), (600, 300), ink=ORANGE, head=False)
    canvas.text(606, 250, "one map 64 × 64,\ninto every gate", ORANGE, 14, "start")
    return canvas


def cache():
    """What sampling keeps when it computes one place of a map."""
    canvas = Canvas(1060, 400, "What is kept of earlier places when one place is sampled")
    size, side, row, column = 10, 23, 5, 4
    kept, read, gone, later = "#A9D3EC", BLUE, "#DDDDDD", "white"

    def kind(panel, i, j):
        before = (i, j) < (row, column)
        if (i, j) == (row, column):
            return INK
        if not before:
            return later
        if panel == 0:
            near = i >= row - 2
            return (read if abs(j - column) <= 2 else kept) if near else gone
        return read if panel == 1 else gone

    titles = (
        "causal 5 × 5 convolution:\nkeeps two rows and a bit, reads 12 places",
        "attention: keeps keys and values\nof all earlier places, reads all",
        "1 × 1 convolution and gate:\nkeep nothing, read this place",
    )
    for panel, title in enumerate(titles):
        left, top = 50 + 350 * panel, 80
        canvas.text(left + size * side / 2, 40, title, size=15)
        for i in range(size):
            for j in range(size):
                canvas.cell(
                    left + j * side, top + i * side, side, kind(panel, i, j), "#BBBBBB", 0.7
                )
    legend = [(INK, "to be drawn"), (read, "kept, and read now"), (kept, "kept for later places")]
    legend += [(gone, "computed once, forgotten"), (later, "not drawn yet")]
    for number, (fill, words) in enumerate(legend):
        x = 50 + (0, 135, 315, 515, 735)[number]
        canvas.cell(x, 348, 18, fill, "#888888")
        canvas.text(x + 26, 357, words, size=14, anchor="start")
    return canvas


DIAGRAMS = (tape, hierarchy, layers, conditioning, cache)


def main():
    """Write all of them."""
    for draw in DIAGRAMS:
        (FOLDER / f"{draw.__name__}.svg").write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
