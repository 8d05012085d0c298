"""A page is one file, complete and safe; a table lines up."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from vqv2.errors import InputError
from vqv2.lab.report import Section, Table, save_page
from vqv2.pictures import save_image_grid
from vqv2.terminal import format_table


class Outline(HTMLParser):
    """The elements of a page: (tag, attributes) in order, the text of each, and the nesting."""

    VOID = {"meta", "img"}

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        assert self.open == [], "an element is never closed"

    def handle_starttag(self, tag, attributes):
        """Note the element and open it."""
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        """Close the innermost element, which must be this one."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Note text under the element that holds it."""
        if data.strip():
            self.texts.append((self.open[-1], data))

    def of(self, tag):
        """The texts of all elements `tag`, in order."""
        return [text for owner, text in self.texts if owner == tag]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "grid.png"
    save_image_grid(path, [np.zeros((2, 8, 8, 3))])
    return path


def outline(tmp_path, sections, title="A title"):
    path = tmp_path / "page.html"
    save_page(path, title, sections)
    return Outline(path.read_text(encoding="utf-8"))


def test_headings_and_paragraphs_appear_in_order(tmp_path):
    page = outline(tmp_path, [Section("One", "first\nstill first\n\n \nsecond"), Section("Two")])
    assert page.of("title") == page.of("h1") == ["A title"]
    assert page.of("h2") == ["One", "Two"]
    assert page.of("p") == ["first\nstill first", "second"]


def test_text_is_shown_as_it_is_and_never_becomes_an_element(tmp_path, picture):
    nasty = "<script>alert('1')</script> & \"quoted\" é"
    table = Table([nasty], [[nasty]], nasty)
    page = outline(tmp_path, [Section(nasty, nasty, table, [(picture, nasty)])], nasty)
    for tag in ("title", "h1", "h2", "p", "th", "td", "caption", "figcaption"):
        assert page.of(tag) == [nasty], tag
    assert [attributes["alt"] for tag, attributes in page.elements if tag == "img"] == [nasty]
    assert "script" not in {tag for tag, _ in page.elements}


def test_pictures_are_inside_the_page_which_needs_nothing_else(tmp_path, picture):
    page = outline(tmp_path, [Section("One", pictures=[(picture, "below")])])
    (image,) = [attributes for tag, attributes in page.elements if tag == "img"]
    prefix, content = image["src"].split(",")
    assert prefix == "data:image/png;base64"
    assert base64.b64decode(content) == picture.read_bytes()
    with Image.open(picture) as original:
        assert (int(image["width"]), int(image["height"])) == original.size
    assert page.of("figcaption") == ["below"]
    text = (tmp_path / "page.html").read_text()
    assert not re.search(r"https?:|url\(|@import|<link|<script", text)


def test_a_picture_on_a_narrow_page_scrolls_instead_of_becoming_tiny(tmp_path):
    path = tmp_path / "wide.png"
    Image.new("RGB", (1000, 10)).save(path)
    page = outline(tmp_path, [Section("One", pictures=[(path, "")])])
    (place,) = [i for i, (tag, _) in enumerate(page.elements) if tag == "img"]
    assert page.elements[place][1]["style"] == "min-width: 400px"
    assert page.elements[place - 1] == ("div", {"class": "wide"})
    assert ".wide { overflow-x: auto" in (tmp_path / "page.html").read_text()


def test_the_kind_of_a_picture_comes_from_its_contents(tmp_path):
    path = tmp_path / "misnamed.png"
    Image.new("RGB", (3, 2)).save(path, format="JPEG")
    page = outline(tmp_path, [Section("One", pictures=[(path, "")])])
    assert [a["src"].split(";")[0] for tag, a in page.elements if tag == "img"] == [
        "data:image/jpeg"
    ]


def test_the_page_follows_light_and_dark(tmp_path):
    outline(tmp_path, [])
    assert "prefers-color-scheme: dark" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("cells", "numeric"),
    [
        (["1", "-2.5"], True),
        (["1,024", "—", ""], True),
        (["31.2 dB", "4%", "2.5×", "3.1 bits/dim"], True),
        (["1e-3", "0.1 ± 0.02", "−3"], True),
        (["0.5 [0, 1]", "12"], True),
        ([3, 0.5], True),
        (["top", "1"], False),
        (["32×32"], False),
        (["", "—"], False),
    ],
)
def test_columns_of_numbers_are_aligned_right(tmp_path, cells, numeric):
    page = outline(tmp_path, [Section("One", table=Table(["x"], [[cell] for cell in cells]))])
    kinds = {a.get("class") for tag, a in page.elements if tag in ("td", "th")}
    assert kinds == ({"number"} if numeric else {None})
    first = format_table(["a wide heading"], [[cell] for cell in cells]).splitlines()[2]
    assert first.startswith(" ") == (numeric or cells[0] == "") or first == ""


def test_a_terminal_table_lines_up():
    rows = [["top", "64", "0.10"], ["bottom", "1,024", "12.5"]]
    assert format_table(["Level", "Codes", "x"], rows).splitlines() == [
        "Level   Codes     x",
        "------  -----  ----",
        "top        64  0.10",
        "bottom  1,024  12.5",
    ]


def test_no_line_of_a_terminal_table_ends_in_blanks():
    lines = format_table(["x", "Note"], [["1", ""], ["2", "long enough"]]).splitlines()
    assert lines == [line.rstrip() for line in lines]


def test_a_table_without_rows_shows_its_columns():
    assert format_table(["Level", "x"], []) == "Level  x\n-----  -"


@pytest.mark.parametrize("row", [["one"], ["one", "two", "three"]])
def test_a_row_of_another_length_is_refused(tmp_path, row):
    rows = [["1", "2"], row]
    with pytest.raises(InputError, match=f"row 1 .* {len(row)} cells .* 2 columns"):
        format_table(["a", "b"], rows)
    with pytest.raises(InputError, match="row 1"):
        save_page(tmp_path / "page.html", "t", [Section("s", table=Table(["a", "b"], rows))])


def test_a_picture_that_cannot_be_read_leaves_the_former_page(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("former")
    (tmp_path / "text.png").write_text("not a picture")
    for name, reason in (("text.png", "not a picture"), ("none.png", "No such file")):
        with pytest.raises(InputError, match=f"{name} .*{reason}"):
            save_page(page, "t", [Section("s", pictures=[(tmp_path / name, "")])])
    assert page.read_text() == "former"


def test_names_that_are_not_utf8_are_shown_escaped(tmp_path):
    """A run's folder may be called anything; its evaluation takes hours."""
    save_page(tmp_path / "page.html", "Evaluation of bad\udcff", [])
    assert "Evaluation of bad\\udcff" in (tmp_path / "page.html").read_text("utf-8")


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("former")
    with pytest.raises(InputError, match="cannot write .*page.html"):
        save_page(tmp_path / "file" / "page.html", "t", [])
