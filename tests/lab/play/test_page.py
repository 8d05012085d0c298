"""The page in a browser: what a person does, and what is then seen."""

import base64
import io
import threading

import numpy as np
import pytest
from PIL import Image

from tests.lab.play import chromium
from tests.lab.play.untrained import hierarchy
from vqv2.lab.play import PlayServer

pytestmark = pytest.mark.skipif(
    chromium.why_missing() is not None, reason=f"no browser: {chromium.why_missing()}"
)
READY = (
    "document.getElementById('draw').textContent == 'Draw' && !!document.querySelector('#bars li')"
)
COMPLETE = "document.getElementById('draw').textContent == 'Draw another'"
SEEN = "document.querySelector('figure.image img').src"
PROBLEM = "document.getElementById('problem').textContent"


@pytest.fixture(scope="module")
def server():
    with PlayServer(hierarchy(), "a run") as one:
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        yield one
        one.shutdown()


@pytest.fixture(scope="module")
def page(server, tmp_path_factory):
    with chromium.page(server.address, tmp_path_factory.mktemp("profile")) as opened:
        opened.await_true(READY)
        yield opened


def image_seen(page):
    """uint8 pixels of the decoded image on the page."""
    address = page.value(SEEN)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def codes_of(server):
    """Codes of the latest session."""
    return next(reversed(server._sessions.values())).codes


def choose(page, name, value):
    page.value(f"(() => {{ const e = document.getElementById('{name}'); e.value = '{value}';"
               "e.dispatchEvent(new Event('change', {bubbles: true})); })()")  # fmt: skip


def test_drawing_to_the_end_shows_the_sample_of_the_seed(page, server):
    choose(page, "class", "b")
    choose(page, "seed", 11)
    page.await_true(READY)
    page.click("#step")
    page.await_true("document.querySelector('figcaption span').textContent.includes('1 of 16')")
    page.click("#finish")
    page.await_true(COMPLETE)
    sample = server.hierarchy.sample(1, "b", 11)[0]
    np.testing.assert_array_equal(image_seen(page), np.rint(sample * 255))
    assert page.value("document.getElementById('seed').value") == "11"


def test_a_rectangle_chosen_by_keys_is_drawn_again_and_undone(page, server):
    before, seen = codes_of(server), page.value(SEEN)
    page.value("document.querySelector('#stage canvas').focus()")
    for key, shift in (("ArrowDown", 0), ("ArrowRight", 8), ("ArrowDown", 8)):
        how = {"type": "rawKeyDown", "key": key, "modifiers": shift}
        page.call("Input.dispatchKeyEvent", how)
    assert "top: 2 × 2 from row 2, column 1" in page.value("document.body.innerText")
    choose(page, "speed", 9)
    page.call("Input.dispatchKeyEvent", {"type": "rawKeyDown", "key": "Enter"})
    page.await_true("document.getElementById('seed').value == '12' && " + COMPLETE)
    after, outside = codes_of(server), np.ones((4, 4), bool)
    outside[1:3, 0:2] = False
    np.testing.assert_array_equal(after["top"][outside], before["top"][outside])
    below = outside.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(after["bottom"][below], before["bottom"][below])
    assert (after["bottom"] != before["bottom"]).any()
    page.click("#undo")
    page.click("#undo")
    page.await_true(f"{SEEN} == '{seen}'")
    assert page.value(PROBLEM) == ""
    assert all((codes_of(server)[level] == before[level]).all() for level in before)


def test_the_chances_shown_are_those_that_the_next_step_draws_from(page, server):
    choose(page, "class", "")
    for _ in range(2):
        page.click("#clear")
        page.await_true(READY + " && document.getElementById('status').textContent[0] == '0'")
        drawing = next(reversed(server._sessions.values())).drawing
        page.click("#step")
        page.await_true("document.getElementById('status').textContent[0] == '1'")
        assert next(reversed(server._sessions.values())).drawing is drawing
    choose(page, "class", "b")
    page.click("#finish")
    page.await_true(COMPLETE)


def test_the_focus_stays_among_the_kept_images(page):
    page.click("#keep")
    page.await_true("!!document.querySelector('#kept button')")
    focused = "document.activeElement.textContent"
    for button, then in (("button:nth-child(2)", "Swap tops"), (".close", "Keep this one")):
        seen = page.value("document.getElementById('kept').firstChild.id = 'before'")
        page.value(f"document.querySelector('#kept {button}').focus()")
        page.value("document.activeElement.click()")
        page.await_true(f"!document.getElementById('{seen}')")
        assert page.value(focused) == then


def test_a_code_chosen_by_hand_is_put(page, server):
    page.value("document.querySelector('#stage canvas').focus()")
    page.call("Input.dispatchKeyEvent", {"type": "rawKeyDown", "key": "ArrowUp"})
    code = page.value("document.querySelector('#codebook button').title").split()[1].rstrip(",")
    page.click("#codebook button")
    page.await_true("!document.getElementById('undo').disabled")
    page.await_true(f"document.querySelector('#stage canvas').ariaLabel.endsWith('code {code}')")


def test_an_image_that_is_brought_is_reconstructed(page, server):
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    content = base64.b64encode(buffer.getvalue()).decode()
    page.value(f"""(() => {{
      const bytes = Uint8Array.from(atob('{content}'), (c) => c.charCodeAt(0));
      const files = new DataTransfer();
      files.items.add(new File([bytes], 'mine.png'));
      window.dispatchEvent(new DragEvent('drop', {{dataTransfer: files, cancelable: true}}));
    }})()""")
    page.await_true("document.querySelectorAll('#inspection figure').length == 7")
    image = pixels[None].astype(np.float32) / 255
    reconstruction = server.hierarchy.decode(server.hierarchy.encode(image))[0]
    np.testing.assert_array_equal(image_seen(page), np.rint(reconstruction * 255))


def test_everything_has_a_name_and_fits_a_phone(page):
    unnamed = """[...document.querySelectorAll('button, input, select, canvas, img, progress')]
      .filter((e) => !(e.ariaLabel || e.alt || e.textContent.trim() || e.labels?.length
                       || e.closest('[role=img]')))
      .map((e) => e.outerHTML)"""
    assert page.value(unnamed) == []
    for width in (390, 1400):
        window = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        page.call("Emulation.setDeviceMetricsOverride", window)
        assert page.value("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("shape, maps, vary", [
    ({"latent_sizes": (4,), "classes": ()}, 1, False),
    ({"latent_sizes": (2, 4, 8), "channels": 1}, 3, True),
    ({"priors": ("top",)}, 2, True),
    ({"priors": ()}, 2, True),
], ids=str)  # fmt: skip
def test_every_shape_of_hierarchy_has_its_page(shape, maps, vary, tmp_path):
    model = hierarchy(**shape)
    with PlayServer(model, "a run") as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with chromium.page(server.address, tmp_path) as page:
            page.await_true("document.querySelectorAll('#codebook button').length == 12 && "
                            "document.getElementById('status').textContent == ''")  # fmt: skip
            assert page.value("document.querySelectorAll('#stage canvas').length") == maps
            seen = {"vary": vary, "finer-field": vary, "tabs": vary}
            for name, visible in {**seen, "class-field": bool(model.class_names)}.items():
                what = f"document.getElementById('{name}').checkVisibility()"
                assert page.value(what) == visible
            page.click("#finish")
            nothing = f"{PROBLEM}.includes('prior is not trained')"
            page.await_true(COMPLETE if model.priors else nothing)
        server.shutdown()
