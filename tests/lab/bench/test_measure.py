"""Measuring: turns, spreads, rows, and what is extrapolated from a part."""

import json

import pytest

import backends
from vqv2.errors import InputError
from vqv2.lab.bench.measure import Limits, Settings, Spread, make_row, take_turns, total
from vqv2.lab.bench.sample import extrapolate, stretches, thirds
from vqv2.lab.bench.subject import Subject
from vqv2.lab.bench.worker import RUNS_ON_DEVICE, Worker, _Server

LIMITS = Limits(flops_per_s=100.0, bytes_per_s=10.0)
SETTINGS = Settings(threads=1)


def row(name, ours, peer=None, flops=0, traffic=0):
    seconds, peaks = ([ours], [7]) if peer is None else ([ours, peer], [7, 9])
    return make_row(name, seconds, peaks, {"flops": flops, "bytes": traffic}, SETTINGS, LIMITS)


def test_sides_take_turns_after_the_warm_up():
    calls = []

    def side(name, answers):
        return lambda: calls.append(name) or answers.pop(0)

    runs = [side("ours", [9.0, 1.0, 2.0]), side("peer", [9.0, 3.0, 4.0])]
    assert take_turns(runs, repetitions=2, warmup=1) == [[1.0, 2.0], [3.0, 4.0]]
    assert calls == ["ours", "peer"] * 3


def test_spread():
    assert Spread.of([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(1.0, 2.0, 3.0, 4.0, 5.0)
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0, 2.0, 2.0)


def test_row_has_medians_ratio_and_shares_of_the_limits():
    found = row("step", [1.0, 2.0, 9.0], [3.0, 4.0, 4.5], flops=150, traffic=5)
    assert (found.ours_s, found.peer_s, found.ratio) == (2.0, 4.0, 2.0)
    assert (found.peak_bytes, found.peer_peak_bytes) == (7, 9)
    assert found.product_share == pytest.approx(150 / 2.0 / 100)
    assert found.streaming_share == pytest.approx(5 / 2.0 / 10)
    alone = row("step", [1.0])
    assert (alone.peer_s, alone.ratio, alone.peer, alone.product_share) == (None,) * 4


def test_total_adds_medians_and_has_a_peer_only_where_all_have():
    both = total("all", [row("a", [1.0], [4.0]), row("b", [2.0], [5.0])], 3, "image")
    assert (both.ours_s, both.peer_s, both.ratio, both.units) == (3.0, 9.0, 3.0, 3)
    halves = total("all", [row("a", [1.0], flops=60), row("b", [3.0], flops=60)], 1, "image")
    assert halves.product_share == pytest.approx(120 / 4.0 / 100)
    assert halves.streaming_share is None
    assert total("all", [row("a", [1.0], [4.0]), row("b", [2.0])], 1, "image").peer_s is None


@pytest.mark.parametrize("size", [1, 2, 3, 8, 32, 64])
def test_a_cost_that_grows_linearly_is_extrapolated_exactly(size):
    cost = [3.0 + 0.5 * row for row in range(size)]
    for fraction in (0.01, 0.1, 0.34, 0.5, 1.0):
        seconds = [sum(cost[a : a + rows]) for a, rows in stretches(size, fraction)]
        # A stretch of even length cannot lie in the exact middle of a third of odd length.
        tolerance = 0.5 * 0.5 * size
        assert extrapolate(seconds, size, fraction) == pytest.approx(sum(cost), abs=tolerance)
    assert extrapolate(seconds, size, 1.0) == pytest.approx(sum(cost))


def test_stretches_are_the_middle_rows_of_each_third():
    assert thirds(32) == [(0, 10), (10, 21), (21, 32)]
    assert stretches(32, 0.2) == [(4, 2), (14, 2), (25, 2)]
    assert stretches(32, 0.01) == [(4, 1), (15, 1), (26, 1)]
    assert stretches(3, 1) == [(0, 1), (1, 1), (2, 1)]
    for fraction in (0, -1, 1.5, float("nan")):
        with pytest.raises(InputError, match="--fraction"):
            stretches(32, fraction)


def test_worker_refuses_in_a_sentence_and_goes_on():
    with Worker("ours", threads=1) as worker:
        with pytest.raises(InputError, match="no kernel case 'conv 9x9'"):
            worker.build("kernels", "conv 9x9", {})
        facts = worker.build("kernels", "elu forward", {"scale": "tiny"})
        assert facts["bytes"] == 2 * 4 * 4 * 4 * 3
        assert worker.run() > 0
        assert worker.peak_bytes() >= 0
        json.dumps(facts)


def test_a_turn_is_one_run_or_as_many_as_fill_it(monkeypatch):
    server, runs = _Server("ours"), []
    server.subject = Subject(lambda: runs.append(1))
    durations = iter([0.04, 0.09, 0.2, 0.3, 0.01, 0.2])
    server.seconds_of = lambda run: (next(durations), run())
    assert server.answer({"do": "run", "fill": 0.1})["seconds"] == pytest.approx(0.03)
    assert len(runs) == 1 + 3
    assert server.answer({"do": "run", "fill": 0.0})["seconds"] == 0.2
    assert server.answer({"do": "run", "fill": 0.1})["seconds"] == 0.3
    monkeypatch.setattr(backends, "current", lambda: "cupy")  # there the host must be far ahead
    assert server.answer({"do": "run", "fill": 0.01})["seconds"] == pytest.approx(0.02)
    assert len(runs) == 1 + 3 + 1 + 1 + 1 + RUNS_ON_DEVICE


def test_a_worker_that_dies_is_reported():
    with Worker("ours", threads=1) as worker:
        worker._process.kill()
        worker._process.wait()
        with pytest.raises(InputError, match="ended with status"):
            worker.build("kernels", "elu forward", {"scale": "tiny"})


@pytest.mark.parametrize("change", [{"threads": 0}, {"repetitions": 0}, {"warmup": -1}])
def test_settings_that_mean_nothing_are_refused(change):
    with pytest.raises(InputError, match=next(iter(change))):
        Settings(**{"threads": 1, **change}).check()
    with pytest.raises(InputError, match="no peer 'jax'"):
        Settings(1, peer="jax").check()
