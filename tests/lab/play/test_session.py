"""What a page holds: drawing equals sampling, edits touch what they name, all is undone."""

import numpy as np
import pytest

from backends import to_host
from tests.lab.play.untrained import hierarchy
from vqv2.errors import InputError
from vqv2.lab.play import Session
from vqv2.lab.play.session import MOST_KEPT, Wish
from vqv2.sampling import Settings

SHAPES = {
    "two levels": {},
    "one level": {"latent_sizes": (4,)},
    "three levels, grey": {"latent_sizes": (2, 4, 8), "channels": 1},
    "no classes": {"classes": ()},
    "a map of one code": {"latent_sizes": (1, 4)},
}


@pytest.fixture(scope="module")
def two_levels():
    return hierarchy()


def wish(model, label=None, seed=0, settings=None):
    return Wish(label, seed, dict.fromkeys(model.levels, settings or Settings()))


def same(codes, other):
    return all(np.array_equal(codes[level], other[level]) for level in codes)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", [{}, {"temperature": 0.8, "top_k": 5, "top_p": 0.9},
                                 {"temperature": 0.0}])  # fmt: skip
def test_drawing_to_the_end_is_sampling(shape, how):
    model = hierarchy(**SHAPES[shape])
    for label in {None, *model.class_names[:1]}:
        drawn = Session(model).draw_to_the_end(wish(model, label, 7, Settings(**how)))
        sampled = model.sample_codes(1, label, 7, **how)
        assert same(drawn, {level: maps[0] for level, maps in sampled.items()})


def test_drawing_goes_on_where_it_stopped_with_the_settings_of_the_moment(two_levels):
    session = Session(two_levels)
    for _ in range(20):
        drawing = session.draw_with(wish(two_levels, "a", 3))
        session.step(wish(two_levels).settings)
    assert session.draw_with(wish(two_levels, "a", 3, Settings(0.5))) is drawing
    drawn = session.draw_to_the_end(wish(two_levels, "a", 3))
    assert same(drawn, {k: v[0] for k, v in two_levels.sample_codes(1, "a", 3).items()})
    session.undo()
    for _ in range(20):
        session.draw_with(wish(two_levels, "a", 3))
        session.step(wish(two_levels).settings)
    assert session.draw_with(wish(two_levels, "a", 4)) is not drawing  # another seed: a new one
    assert same(session.draw_to_the_end(wish(two_levels, "a", 4)), {"top": drawn["top"]} | {
        "bottom": session.codes["bottom"]})  # fmt: skip
    session.undo()
    assert (session.codes["bottom"] >= 0).sum() == 4
    session.undo()
    assert max(codes.max() for codes in session.codes.values()) == -1


def test_the_chances_are_those_that_codes_are_drawn_with(two_levels):
    settings, counts = Settings(0.7, 6, 0.9), np.zeros(12)
    for seed in range(300):
        session = Session(two_levels)
        drawing = session.draw_with(wish(two_levels, "a", seed))
        chances = drawing.probabilities({"top": settings})
        session.step({"top": settings})
        counts[session.codes["top"][0, 0]] += 1
    blank = np.zeros((1, 4, 4), np.int64)
    logits = to_host(two_levels.priors["top"](blank, np.array([0])).array)[0, 0, 0]
    weights = np.exp(logits.astype(np.float64) / 0.7) * (chances > 0)
    np.testing.assert_allclose(chances, weights / weights.sum(), rtol=1e-4)
    assert 1 < (chances > 0).sum() <= 6 and not counts[chances == 0].any()
    np.testing.assert_allclose(counts / 300, chances, atol=0.12)


@pytest.mark.parametrize("finer", [False, True])
def test_in_painting_keeps_every_code_outside(two_levels, finer):
    session = Session(two_levels)
    before = session.draw_to_the_end(wish(two_levels, "b", 1))
    session.erase("top", (1, 1, 3, 4), finer)
    erased = session.codes
    after = session.draw_to_the_end(wish(two_levels, "b", 2))
    inside = {level: erased[level] < 0 for level in erased}
    assert inside["top"].sum() == 6 and inside["bottom"].sum() == (24 if finer else 0)
    for level in after:
        np.testing.assert_array_equal(after[level][~inside[level]], before[level][~inside[level]])
    assert (after["top"] != before["top"]).any()
    given = {level: codes[None] for level, codes in erased.items()}
    sampled = two_levels.sample_codes(1, "b", 2, given=given)
    assert same(after, {level: maps[0] for level, maps in sampled.items()})


def test_edits_change_what_they_name_and_are_undone(two_levels):
    session = Session(two_levels)
    first = session.draw_to_the_end(wish(two_levels, "a", 1))
    session.keep()
    session.start_over()
    second = session.draw_to_the_end(wish(two_levels, "a", 2))
    session.exchange(0)
    assert same(session.codes, {"top": first["top"], "bottom": second["bottom"]})
    assert same(session.state.kept[0].codes, {"top": second["top"], "bottom": first["bottom"]})
    session.put("bottom", (0, 0, 2, 3), 11)
    assert (session.codes["bottom"][:2, :3] == 11).all()
    assert np.array_equal(session.codes["bottom"][2:], second["bottom"][2:])
    session.take(0)
    assert same(session.codes, {"top": second["top"], "bottom": first["bottom"]})
    session.drop(0)
    for _ in range(4):
        session.undo()
    assert same(session.codes, second) and same(session.state.kept[0].codes, first)
    while session.can_undo:
        session.undo()
    assert same(session.codes, session.nothing()) and session.state.kept == ()


def test_many_bottoms_for_one_top(two_levels):
    session = Session(two_levels)
    top = session.draw_to_the_end(wish(two_levels, "a", 5))["top"]
    for _ in session.variations(wish(two_levels, "a", 5), 3):
        pass
    for number, kept in enumerate(session.state.kept):
        given = {"top": top[None]}
        sampled = two_levels.sample_codes(1, "a", 6 + number, given=given)
        assert same(kept.codes, {level: maps[0] for level, maps in sampled.items()})
        assert np.array_equal(kept.image, two_levels.decode(sampled)[0])


def test_an_image_becomes_its_codes(two_levels):
    image = np.random.default_rng(0).random((16, 16, 3), np.float32)
    session = Session(two_levels)
    session.open_image(image)
    encoded = two_levels.encode(image[None])
    assert same(session.codes, {level: maps[0] for level, maps in encoded.items()})
    session.undo()
    assert session.state.original is None


def test_what_is_not_trained_is_said_and_the_rest_is_drawn():
    model = hierarchy(priors=("top",))
    session = Session(model)
    drawn = session.draw_to_the_end(wish(model, "a", 2))
    sampled = model.sample_codes(1, "a", 2, levels=["top"])
    assert np.array_equal(drawn["top"], sampled["top"][0]) and drawn["bottom"].max() == -1
    with pytest.raises(InputError, match="bottom cannot be drawn: its prior is not trained"):
        session.draw_with(wish(model, "a", 2))
    with pytest.raises(InputError, match="bottom cannot be drawn"):
        next(session.variations(wish(model, "a"), 1))


REFUSED = {
    "no level 'side'": lambda session: session.erase("side", (0, 0, 1, 1)),
    "does not lie in the top map": lambda session: session.erase("top", (0, 0, 5, 1)),
    "does not lie in the bottom": lambda session: session.put("bottom", (3, 3, 3, 4), 0),
    "go from 0 to 11": lambda session: session.put("top", (0, 0, 1, 1), 12),
    "no kept image 0": lambda session: session.take(0),
    "nothing to undo": lambda session: session.undo(),
    "top map has gaps": lambda session: next(session.variations(None, 1)),
    "there is no class 'z'": lambda session: session.draw_with(wish(session.hierarchy, "z")),
    f"at most {MOST_KEPT}": lambda session: [session.keep() for _ in range(MOST_KEPT + 1)],
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_done_is_a_sentence_and_changes_nothing(two_levels, words):
    session = Session(two_levels)
    with pytest.raises(InputError, match=words):
        REFUSED[words](session)
    assert same(session.codes, session.nothing())
