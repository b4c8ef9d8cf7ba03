# SPDX-License-Identifier: BSD-3-Clause
"""Child processes: they work or get a clear error, and never hang."""
from __future__ import annotations

import multiprocessing
import os
import threading
import warnings

import pytest
from conftest import make_batch, run_python, small_config

import libsgt as sgt

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

SECONDS = 60


@pytest.fixture(autouse=True)
def quiet_about_threads():
    """Newer Pythons warn of forks with threads, which is what is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def child(function, method="fork", arguments=()):
    """What a function says in a child process, or how it ended."""
    start = multiprocessing.get_context(method)
    ours, theirs = start.Pipe()
    process = start.Process(target=_answer, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    try:
        assert ours.poll(SECONDS), "the child hangs"
        answer = ours.recv()
    except EOFError:
        process.join(SECONDS)
        answer = f"ended with {process.exitcode}"
    finally:
        process.kill()
        process.join()
    return answer


def _answer(pipe, function, arguments):
    try:
        pipe.send(function(*arguments))
    except BaseException as exception:
        pipe.send(f"{type(exception).__name__}: {exception}")


def train_steps(model, optimizer, count):
    for _ in range(count):
        loss = model.forward(*make_batch())
        model.backward()
        optimizer.step()
    return loss.sum


def from_nothing():
    model = sgt.Model(small_config(d_model=64), sgt.Context(threads=2))
    return train_steps(model, sgt.Optimizer(model), 3)


def test_spawn():
    assert child(from_nothing, "spawn") == from_nothing()


def test_a_child_goes_on_with_inherited_objects():
    """Also after the pool's threads have started, which the child does not have."""
    model = sgt.Model(small_config(d_model=64), sgt.Context(threads=2))
    optimizer = sgt.Optimizer(model)
    train_steps(model, optimizer, 2)
    there = child(lambda: train_steps(model, optimizer, 3))
    assert there == train_steps(model, optimizer, 3)


def test_a_child_makes_its_own(batch):
    with sgt.Context(threads=2):
        assert child(from_nothing) == from_nothing()


def test_a_child_closes_what_it_inherited(model, batch):
    expected = model.evaluate(*batch).sum

    def close():
        model.close()
        return model.closed

    assert child(close) is True
    assert model.evaluate(*batch).sum == expected


def test_a_pool_of_workers():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = pool.map_async(_evaluate_seed, range(6)).get(SECONDS)
    assert results == [_evaluate_seed(seed) for seed in range(6)]


def _evaluate_seed(seed):
    with sgt.Model(small_config(), sgt.Context(threads=1), seed=seed) as model:
        return model.evaluate(*make_batch(seed)).sum


def test_a_fork_while_another_thread_is_inside(batch):
    """The child cannot know what that thread left locked: an error, and no hang."""
    inside, go_on = threading.Event(), threading.Event()

    def progress(phase, done, total):
        if not inside.is_set():
            inside.set()
            assert go_on.wait(SECONDS)

    context = sgt.Context(threads=2, progress=progress)
    model, other = (sgt.Model(small_config(), context) for _ in range(2))
    plan = other.plan.copy()
    thread = threading.Thread(target=lambda: model.forward(*batch), daemon=True)
    thread.start()
    assert inside.wait(SECONDS)

    def everything():
        errors = set()
        for call in (
            lambda: model.evaluate(*batch),
            lambda: other.forward(*batch),
            lambda: plan.depths,
            lambda: context.memory,
            lambda: sgt.Model(small_config(), context),
        ):
            try:
                call()
                errors.add("none")
            except sgt.StateError as error:
                errors.add(str(error))
        return errors, from_nothing()

    errors, fresh = child(everything)
    assert len(errors) == 1 and "forked while another thread" in errors.pop()
    assert fresh == from_nothing()
    go_on.set()
    thread.join(SECONDS)
    assert not thread.is_alive()
    model.backward()  # the parent goes on


def test_a_child_that_ends_normally():
    """Its finalizers free what was inherited, broken or not, and the exit is clean."""
    result = run_python(
        """
        import os, libsgt as sgt
        from conftest import make_batch, small_config
        model = sgt.Model(small_config(d_model=64), sgt.Context(threads=2))
        optimizer = sgt.Optimizer(model)
        model.forward(*make_batch())
        model.backward()
        pid = os.fork()
        if pid:
            print("status", os.waitpid(pid, 0)[1])
        else:
            optimizer.step()
            optimizer.close()
            model.close()
        """
    )
    assert result.stdout == "status 0\n", result.stderr
