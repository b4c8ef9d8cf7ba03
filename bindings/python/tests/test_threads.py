# SPDX-License-Identifier: BSD-3-Clause
"""Several threads: readers side by side, writers alone, messages apart, one model in many hands."""
from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest
from conftest import VOCABULARY, make_batch, small_config

import libsgt as sgt
from libsgt._handles import Guard


def in_threads(functions, timeout=60):
    """Runs all at once; exceptions come back in the order of the functions."""
    results = [None] * len(functions)
    start = threading.Barrier(len(functions))

    def body(i, function):
        start.wait()
        try:
            results[i] = function()
        except BaseException as exception:
            results[i] = exception

    threads = [
        threading.Thread(target=body, args=item, daemon=True) for item in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
        assert not thread.is_alive(), "a thread hangs"
    return results


def test_evaluations_side_by_side():
    model = sgt.Model(small_config(), sgt.Context(threads=2))
    batches = [make_batch(seed) for seed in range(4)]
    expected = [model.evaluate(*one).sum for one in batches]

    def work(one):
        return [model.evaluate(*one).sum for _ in range(50)]

    found = in_threads([lambda one=one: work(one) for one in batches])
    assert found == [[value] * 50 for value in expected]


def test_readers_really_overlap(batch):
    inside = threading.Barrier(2)

    def progress(phase, done, total):
        if phase == "evaluate" and done == 1:
            inside.wait(30)  # both evaluations get here, or it breaks

    model = sgt.Model(small_config(), sgt.Context(threads=1, progress=progress))
    found = in_threads([lambda: model.evaluate(*batch).sum] * 2)
    assert found[0] == found[1] and isinstance(found[0], float)


def test_a_writer_waits_for_readers(batch):
    order = []
    reading, go_on = threading.Event(), threading.Event()

    def progress(phase, done, total):
        if phase == "evaluate" and done == 1:
            reading.set()
            assert go_on.wait(30)

    model = sgt.Model(small_config(), sgt.Context(threads=1, progress=progress))

    def read():
        model.evaluate(*batch)
        order.append("read")

    def write():
        assert reading.wait(30)
        threading.Timer(0.2, go_on.set).start()
        model.forward(*batch)
        order.append("written")

    assert in_threads([read, write]) == [None, None]
    assert order == ["read", "written"]


def test_closing_waits(batch):
    inside, go_on = threading.Event(), threading.Event()

    def progress(phase, done, total):
        inside.set()
        assert go_on.wait(30)

    model = sgt.Model(small_config(), sgt.Context(threads=1, progress=progress))

    def close():
        assert inside.wait(30)
        threading.Timer(0.2, go_on.set).start()
        model.close()
        return go_on.is_set()

    loss, after = in_threads([lambda: model.evaluate(*batch), close])
    assert loss.count and after is True and model.closed


def test_training_in_many_hands(batch):
    """Any mixture of calls gives results or errors of the order of calls, never a crash."""
    model = sgt.Model(small_config(), sgt.Context(threads=2))
    optimizer = sgt.Optimizer(model)
    growth = sgt.Growth(model, sgt.SparseGrowth(first_step=3, window=2))

    def forward():
        return model.forward(*batch)

    def train():
        failures = set()
        for _ in range(40):
            for call in (forward, model.backward, optimizer.step, growth.step):
                try:
                    call()
                except sgt.StateError:
                    failures.add(call)
        return len(failures) <= 160

    def look():
        for _ in range(40):
            model.evaluate(*batch)
            model.plan.depths
            model.parameter(model.names[0]).sum()
            model.flops_total
        return True

    assert in_threads([train, train, look]) == [True] * 3
    model.zero_gradients()
    assert model.forward(*batch).finite


def test_messages_belong_to_their_thread(model, batch):
    def fail(token):
        found = set()
        for _ in range(200):
            try:
                model.evaluate(np.full((1, 4), token), None)
            except sgt.OutOfRangeError as error:
                found.add(str(token) in str(error))
        return found

    found = in_threads([lambda: fail(VOCABULARY + 11), lambda: fail(VOCABULARY + 222)])
    assert found == [{True}] * 2


def test_exceptions_belong_to_their_thread(batch, request):
    class Boom(Exception):
        pass

    local = threading.local()

    def progress(phase, done, total):
        if getattr(local, "fails", False):
            raise Boom

    model = sgt.Model(small_config(), sgt.Context(threads=1, progress=progress))
    interval = sys.getswitchinterval()
    request.addfinalizer(lambda: sys.setswitchinterval(interval))
    sys.setswitchinterval(1e-6)

    def work(fails):
        local.fails = fails
        found = set()
        for _ in range(300):
            try:
                model.evaluate(*batch)
                found.add("fine")
            except Boom:
                found.add("boom")
        return found

    assert in_threads([lambda: work(True), lambda: work(False)]) == [{"boom"}, {"fine"}]


def test_plans_in_two_threads(context, monkeypatch):
    first, second = sgt.Plan(context, 4, 4), sgt.Plan(context, 4, 4)
    entered = []
    enter = Guard.enter
    with monkeypatch.context() as patched:
        patched.setattr(Guard, "enter", lambda g, write: entered.append(g) or enter(g, write))
        assert first == second and second == first
    assert entered[:2] == entered[2:]  # in one order, or two threads could wait for each other

    def compare(a, b):
        for _ in range(300):
            a == b
            a.set_depth(1, 2)
            b.set_depth(1, 2)
            a.set_depth(1, 0)
        return True

    found = in_threads([lambda: compare(first, second), lambda: compare(second, first)])
    assert found == [True] * 2


def test_calls_release_the_interpreter_lock():
    model = sgt.Model(
        small_config(d_model=256, d_ff=1024, max_seq_len=256), sgt.Context(threads=1)
    )
    tokens = np.zeros((8, 256), np.int32)
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    def work():
        start = time.perf_counter()
        for _ in range(3):
            model.evaluate(tokens)
        done.set()
        return start, time.perf_counter()

    _, (start, end) = in_threads([tick, work])
    assert sum(start < at < end for at in ticks) >= 5
