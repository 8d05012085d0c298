"""Worker processes: the same batches, and a sentence instead of a hang when something dies."""

import contextlib
import os
import signal
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.processes import finish, is_gone, is_running, started
from vqv2.data.augment import FFHQ, IMAGENET
from vqv2.data.folder import FolderImages
from vqv2.data.load import load_image
from vqv2.data.readers import in_order, prefetched
from vqv2.data.tree import FolderTree
from vqv2.data.workers import WorkerDied, WorkerHung, Workers, automatic_count
from vqv2.errors import InputError


def about(*arguments):
    return f"trying {arguments}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs of many shapes and formats, in two classes, one of them damaged inside."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(12):
        path = folder / ("cat" if number % 2 else "dog") / f"{number:02}"
        path.parent.mkdir(exist_ok=True)
        shape = (30 + 3 * number, 50 - number, 3)
        picture = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
        picture.save(path.with_suffix((".jpg", ".png", ".webp")[number % 3]))
    broken = folder / "cat" / "07.png"
    content = bytearray(broken.read_bytes())
    place = content.index(b"IDAT") + 6
    content[place : place + 8] = b"\xff" * 8
    broken.write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def trees(folder):
    """The folder, read by threads, by one worker, and by three."""
    return [FolderTree(folder, workers) for workers in (0, 1, 3)]


INDICES = [3, 7, 0, 11, 7, 5, 9, 1, 2, 8]


@pytest.mark.parametrize("augmentation", [None, IMAGENET, FFHQ])
def test_batches_are_the_same_to_the_last_bit(trees, augmentation):
    batches = []
    for tree in trees:
        source = FolderImages(tree, 28)
        for _ in range(2):  # before and after the damaged file is known
            batches.append(source.batch(INDICES, augmentation, np.random.default_rng(4)))
        assert [os.path.basename(path) for path, _ in source.skipped] == ["07.png"]
    for batch in batches[1:]:
        np.testing.assert_array_equal(batch, batches[0])


def test_shares_of_a_batch_are_together_the_batch(folder):
    source = FolderImages(folder, 28)
    whole = source.batch(INDICES, FFHQ, np.random.default_rng(4))
    shares = [
        source.batch(INDICES, FFHQ, np.random.default_rng(4), share)
        for share in (slice(0, 5), slice(5, 10))
    ]
    np.testing.assert_array_equal(np.concatenate(shares), whole)


def test_results_come_in_order_and_wait_in_bounded_numbers():
    taken = []

    def calls():
        for number in range(40):
            taken.append(number)
            yield (float(number),)

    with Workers(2) as workers:
        results = workers.map(abs, calls(), about)
        assert next(results) == 0.0
        assert len(taken) <= 2 * 2 + 1
        assert list(results) == [float(number) for number in range(1, 40)]


def test_prefetching_stops_when_nobody_takes():
    begun = []

    def function(number):
        begun.append(number)
        return number

    results = prefetched(function, range(100), ahead=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    time.sleep(0.1)
    assert max(begun) <= 4
    results.close()


def test_an_exception_comes_out_where_its_result_would_have():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as threads:
        results = in_order(threads, lambda x: 1 // x, [1, 1, 0, 1], 1)
        assert [next(results), next(results)] == [1, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_an_error_in_a_worker_is_that_error_here():
    with Workers(1) as workers:
        with pytest.raises(InputError, match="the split 'tran'.*did you mean 'train'"):
            from vqv2.data.split import check_split

            list(workers.map(check_split, [("tran",)], about))
        with pytest.raises(TypeError):
            list(workers.map(abs, [("text",)], about))
        assert list(workers.map(abs, [(-3,)], about)) == [3]  # and it goes on


def test_what_a_worker_prints_does_not_disturb(capfd, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with Workers(1) as workers:
        assert list(workers.map(print, [("a word",)], about)) == [None]
    assert "a word" in capfd.readouterr().err


def test_a_killed_worker_is_replaced_with_a_warning():
    with Workers(1) as workers:
        assert list(workers.map(abs, [(-1,)], about)) == [1]
        former = workers._workers[0].process.pid
        os.kill(former, signal.SIGKILL)
        with pytest.warns(RuntimeWarning, match="was killed by SIGKILL while trying"):
            assert list(workers.map(abs, [(-2,)], about)) == [2]
        assert not is_running(former)
        successor = workers._workers[0].process.pid
        assert successor != former
    assert not is_running(successor)


def test_a_call_that_kills_its_worker_twice_is_a_sentence():
    with Workers(1) as workers:
        with (
            pytest.warns(RuntimeWarning, match="ended with status 3"),
            pytest.raises(WorkerDied, match=r"two worker.*ended while trying \(3,\).*memory"),
        ):
            list(workers.map(os._exit, [(3,)], about))
        assert list(workers.map(abs, [(-2,)], about)) == [2]


@contextlib.contextmanager
def impatience(workers, seconds):
    """All workers have been started, which takes its time; inside they are waited for no longer."""
    list(workers.map(time.sleep, [(0.2,)] * workers.count, about))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vqv2.data.workers.SILENCE", seconds)
        yield


def test_a_worker_that_hangs_is_a_sentence_with_the_call_that_it_hangs_in():
    with Workers(1) as workers:
        with impatience(workers, 2):
            process = workers._workers[0].process.pid
            results = workers.map(time.sleep, [(0,), (600,), (0,)], about, together=3)
            with pytest.raises(WorkerHung, match=r"for 2 s while trying \(600,\), and was killed"):
                list(results)
        assert not is_running(process)
        assert list(workers.map(abs, [(-2,)], about)) == [2]


def load_from_a_disk_that_hangs(path, *how):
    """As `load_image`; a file without contents is waited for."""
    if not os.path.getsize(path):
        time.sleep(600)
    return load_image(path, *how)


def test_the_file_that_hangs_is_named(tmp_path, monkeypatch):
    for number in range(8):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{number}.png")
    monkeypatch.setattr("vqv2.data.folder.load_image", load_from_a_disk_that_hangs)
    tree = FolderTree(tmp_path, workers=1)
    source = FolderImages(tree, 16)
    source.batch(range(8))
    (tmp_path / "5.png").write_bytes(b"")
    with (
        tree.workers as workers,
        impatience(workers, 2),
        pytest.raises(WorkerHung, match=r"for 2 s while reading .*5\.png, and was"),
    ):
        source.batch(range(8))


def test_workers_that_are_dropped_while_one_works_end_without_a_word(monkeypatch):
    """So it is after Ctrl-C; nobody may wait for the thread that it is."""
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    workers = Workers(1)
    results = workers.map(time.sleep, [(0,), (0.5,)], about)
    next(results)
    threads, process = workers._threads, workers._workers[0].process.pid
    results.close()
    del results, workers
    threads.shutdown()
    assert said == [] and is_gone(process)


def test_calls_of_a_request_after_one_that_fails_are_not_made():
    with Workers(1) as workers:
        with pytest.raises(TypeError):
            list(workers.map(abs, [(-1,), ("text",), (-3,)], about, together=3))
        results = workers.map(abs, [(-number,) for number in range(10)], about, together=4)
        assert list(results) == list(range(10))


def test_closing_and_forgetting_end_the_processes():
    workers = Workers(2)
    assert list(workers.map(abs, [(-1,), (-2,), (-3,), (-4,)], about)) == [1, 2, 3, 4]
    processes = [worker.process.pid for worker in workers._workers if worker.process]
    assert processes
    del workers
    assert not any(is_running(process) for process in processes)


SCRIPT = """
import sys, time
from vqv2.data.tree import FolderTree
from vqv2.data.workers import Workers
workers = Workers(2)
results = list(workers.map({call}, str))
print(*[worker.process.pid for worker in workers._workers], flush=True)
time.sleep({seconds})
"""
BUSY = "time.sleep, [(0.5,), (0.5,)]"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None])
def test_workers_end_when_the_process_that_started_them_does(number):
    script = SCRIPT.format(call=BUSY, seconds=600 if number else 0)
    with started([sys.executable, "-c", script]) as process:
        workers = [int(text) for text in process.stdout.readline().split()]
        assert len(workers) == 2
        if number:
            process.send_signal(number)
        finish(process)
    assert all(is_gone(worker) for worker in workers)


def test_senseless_numbers_are_refused():
    with pytest.raises(InputError, match="0 worker processes"):
        Workers(0)
    assert automatic_count() >= 1
