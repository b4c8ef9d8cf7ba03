# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C and other signals, at any moment: they interrupt, once, and nothing stays locked."""
from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import time

import pytest
from conftest import make_batch, run_python, small_config
from test_signal_flags import kept

import libsgt as sgt
from libsgt import _interrupt
from libsgt._handles import Family, Guard, Handle
from libsgt.errors import call

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX"),
    # An exception that Python could only print is one that C did not hear of.
    pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning"),
]

PACKAGE = os.path.dirname(sgt.__file__)


class Boom(Exception):
    pass


class Alarm:
    """SIGALRM with a handler that raises, such as a time limit has."""

    def __enter__(self):
        self.before = signal.signal(signal.SIGALRM, self)
        return self

    def __call__(self, number, frame):
        raise KeyboardInterrupt

    def after(self, seconds):
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def __exit__(self, *exception):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)


@pytest.fixture
def alarm():
    with Alarm() as made:
        yield made


def press(number=signal.SIGINT, times=1):
    """A signal during a call of the library."""
    call(lambda: 0 if [signal.raise_signal(number) for _ in range(times)] else 1)


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert not _interrupt._state.calls and not _interrupt._state.noted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ---- at any instruction ----


def callers(frame):
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back


class Presses:
    """Ctrl-C before one instruction of the package, the ``at``-th that this thread comes to.

    Finalizers are left out: Python prints what is raised where they begin.
    """

    def __init__(self, at):
        self.left = at

    def enter(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(PACKAGE) or "_free" in callers(frame):
            return None
        frame.f_trace_opcodes = True
        return self.step

    def step(self, frame, event, argument):
        if event == "opcode":
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
                return None
        return self.step

    def run(self, function):
        """Whether it was interrupted; None where it ended before."""
        sys.settrace(self.enter)
        try:
            function()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return None if self.left >= 0 else False


class Deepest(sgt.Policy):
    def decide(self, obs, plan):
        self.state["steps"] = obs.step
        if plan.depths[2]:
            return None
        plan.set_depth(2, 1)
        return sgt.GrowthEvent("select", layer=2, depth=1, heads=(0,))


class World:
    """Objects with every kind of callback, and what is done with them."""

    def __init__(self, folder):
        self.path = folder / "saved"
        self.context = sgt.Context(threads=1, progress=lambda *seen: None)
        self.model = sgt.Model(small_config(), self.context)
        self.rate = 0.25
        self.optimizer = sgt.Optimizer(self.model, rate=lambda step, scheduled: self.rate)
        self.policy = Deepest()
        self.growth = sgt.Growth(self.model, self.policy)
        self.session = sgt.Session(self.model)
        self.x, self.y = make_batch()
        self.train()

    def look(self):
        self.model.generation

    def train(self):
        self.model.zero_gradients()
        self.model.forward(self.x, self.y)
        self.model.backward()
        report = self.optimizer.step()
        assert report.lr == self.rate
        self.growth.step(report)

    def evaluate(self):
        self.model.evaluate(self.x, self.y)

    def generate(self):
        self.session.refresh()
        self.session.generate([1], max_tokens=2, callback=lambda token, index: None)

    def make(self):
        with sgt.Context(threads=1) as context, sgt.Model(small_config(), context) as model:
            sgt.Session(model).close()

    def save(self):
        self.model.zero_gradients()
        sgt.Checkpoint.save(self.path, self.model, optimizer=self.optimizer, growth=self.growth)

    def check(self):
        self.train()
        self.generate()
        assert not self.model._guard._inside and not self.model._guard._waiting


@pytest.mark.parametrize("name", ["look", "train", "evaluate", "generate", "make", "save"])
def test_ctrl_c_at_any_instruction(tmp_path, name):
    world = World(tmp_path)
    action = getattr(world, name)
    signal.siginterrupt(signal.SIGINT, False)  # which stays, too
    flags = kept(signal.SIGINT)
    count = 1 << 30
    counter = Presses(count)
    assert counter.run(action) is None
    count -= counter.left
    assert count > 20
    stride = max(1, count // 400)
    for at in range(0, count, stride):
        assert Presses(at).run(action) is not False, f"not interrupted at {at} of {count}"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert kept(signal.SIGINT) == flags
        if name != "look":
            world.model.generation
        if at % (20 * stride) == 0:
            world.check()
    world.check()
    signal.siginterrupt(signal.SIGINT, True)


def test_interrupts_at_random_moments(alarm, model, batch):
    """Where Python really looks for signals, in a loop of one's own."""
    optimizer = sgt.Optimizer(model)
    draws, interrupted = random.Random(1), 0
    gc.collect()  # finalizers of what earlier tests left could take an interrupt for themselves
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            alarm.after(draws.uniform(2e-5, 2e-3))
            while True:
                model.forward(*batch)
                model.backward()
                optimizer.step()
                model.generation
        except KeyboardInterrupt:
            interrupted += 1
        model.zero_gradients()
    assert interrupted > 100
    model.forward(*batch)


# ---- inside calls ----


def large():
    config = small_config(d_model=256, d_ff=1024, n_layers=6, max_seq_len=2000)
    return sgt.Session(sgt.Model(config, sgt.Context(threads=1)))


@pytest.mark.parametrize("callback", [None, lambda token, index: None])
def test_generate_ends_early(alarm, callback):
    session = large()
    alarm.after(0.05)
    with pytest.raises(KeyboardInterrupt):
        session.generate([1], callback=callback)
    length = session.length()
    assert 0 < length < session.max_length
    session.feed([1])
    assert session.length() == length + 1


def test_other_threads_generate_too(model):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(sgt.Session(model).generate([1], max_tokens=3))
    )
    thread.start()
    thread.join()
    assert len(found[0].tokens) == 3


def test_a_callback_that_does_not_come_back(alarm, model):
    def callback(token, index):
        while True:
            pass

    alarm.after(0.05)
    with pytest.raises(KeyboardInterrupt):
        sgt.Session(model).generate([1], callback=callback)


def test_calls_of_a_callback_are_interrupted(model):
    """The signal comes while the callback is in a call of its own."""
    other, after = sgt.Plan(model.context, 3, 4), []

    def callback(token, index):
        with other._guard.reading:
            press()
            after.append("released")
        after.append(index)

    with pytest.raises(KeyboardInterrupt):
        sgt.Session(model).generate([1], callback=callback)
    assert after == ["released"]


def test_waiting_is_interrupted(alarm, batch):
    inside, go_on = threading.Event(), threading.Event()

    def progress(phase, done, total):
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            assert go_on.wait(30)

    model = sgt.Model(small_config(), sgt.Context(threads=1, progress=progress))
    thread = threading.Thread(target=lambda: model.evaluate(*batch))
    thread.start()
    assert inside.wait(30)
    for call in (model.zero_gradients, model.close):
        alarm.after(0.02)
        with pytest.raises(KeyboardInterrupt):
            call()
    model.evaluate(*batch)  # no writer is waiting any more
    go_on.set()
    thread.join(30)
    model.forward(*batch)


# ---- handlers of the host ----


def test_a_handler_that_does_not_raise_stops_nothing(model):
    seen = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        session = sgt.Session(model)
        done = session.generate(
            [1], max_tokens=4, callback=lambda *seen: signal.raise_signal(signal.SIGINT)
        )
        with model._guard.reading:
            press(times=2)
            assert len(seen) == 4
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.end == "max_tokens" and seen == [signal.SIGINT] * 5


def test_every_noted_signal_is_handled(model):
    def terminate(number, frame):
        raise SystemExit(3)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with pytest.raises(SystemExit) as caught:
            with model._guard.reading:
                press(signal.SIGTERM)
                press(signal.SIGINT)
        assert caught.value.code == 3
        with pytest.raises(KeyboardInterrupt):
            model.generation
        assert signal.getsignal(signal.SIGTERM) is terminate
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_handler_that_a_callback_sets_stays(model):
    def mine(number, frame):
        pass

    try:
        sgt.Session(model).generate(
            [1], max_tokens=1, callback=lambda *seen: signal.signal(signal.SIGINT, mine) and None
        )
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ignored_signals_stay_ignored(model):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with model._guard.reading:
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            press()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# ---- what signals cannot do, other exceptions might ----


def test_a_call_that_was_cut_off_does_not_take_ctrl_c_away():
    _interrupt.begin()
    assert signal.getsignal(signal.SIGINT) is _interrupt._note
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("method", ["_admit", "enter", "_leave"])
@pytest.mark.parametrize("write", [False, True])
def test_an_exception_inside_a_guard(monkeypatch, model, method, write):
    """As another thread may raise one here, or a handler of a signal that is not held back."""
    guard = model._guard
    original, cuts = getattr(Guard, method), []

    def cut(self, *arguments):
        if method == "_leave" and not cuts:
            cuts.append(method)
            raise Boom
        result = original(self, *arguments)
        if not cuts:
            cuts.append(method)
            raise Boom
        return result

    with monkeypatch.context() as patched:
        patched.setattr(Guard, method, cut)
        with pytest.raises(Boom):
            with guard.writing if write else guard.reading:
                pass
    assert cuts and not guard._inside and not guard._writing and not guard._lock.locked()
    model.zero_gradients()


def test_models_that_are_interrupted_in_the_making_are_freed(context, collected):
    before = context.memory.current
    for at in range(0, 400, 7):
        Presses(at).run(lambda: sgt.Model(small_config(), context).close())
    collected()
    assert context.memory.current == before


def test_ctrl_c_while_something_is_freed():
    def free(pointer):
        signal.raise_signal(signal.SIGINT)
        freed.append(pointer)

    freed = []
    Handle(7, free, Family())
    with pytest.raises(KeyboardInterrupt):
        time.sleep(10)
    assert freed == [7]


def test_a_fork_of_another_thread_has_the_handlers_of_before():
    result = run_python(
        """
        import os, signal, threading
        import libsgt as sgt
        from conftest import make_batch, small_config

        def progress(phase, done, total):
            if phase == "evaluate" and done == 1:
                thread = threading.Thread(target=fork)
                thread.start()
                thread.join()

        def fork():
            pid = os.fork()
            if pid:
                print("status", os.waitpid(pid, 0)[1])
            else:
                os._exit(signal.getsignal(signal.SIGINT) is not signal.default_int_handler)

        model = sgt.Model(small_config(), sgt.Context(threads=1, progress=progress))
        model.evaluate(*make_batch())
        """
    )
    assert result.stdout == "status 0\n", result.stderr
