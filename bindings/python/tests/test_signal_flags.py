# SPDX-License-Identifier: BSD-3-Clause
"""What the system keeps with a host's signal handlers, SA_RESTART above all, stays as it is."""
from __future__ import annotations

import asyncio
import ctypes
import signal
import sys

import pytest
from conftest import run_python

import libsgt as sgt

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's struct sigaction")

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGALRM]
SA_RESTART, SA_NODEFER = 0x10000000, 0x40000000


class Action(ctypes.Structure):
    _fields_ = [
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ulong * (128 // ctypes.sizeof(ctypes.c_ulong))),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    ]


libc = ctypes.CDLL(None)


def action(number):
    found = Action()
    assert libc.sigaction(int(number), None, ctypes.byref(found)) == 0
    return found


def kept(number):
    found = action(number)
    return found.handler, found.mask[0], found.flags


@pytest.fixture(params=NUMBERS, ids=lambda number: number.name)
def number(request):
    before = signal.getsignal(request.param)
    yield request.param
    signal.signal(request.param, before)


@pytest.mark.parametrize("interrupts", [False, True])
def test_sa_restart(model, batch, number, interrupts):
    seen = []
    signal.signal(number, lambda *arguments: seen.append(number))
    signal.siginterrupt(number, interrupts)
    before = kept(number)
    assert bool(before[2] & SA_RESTART) is not interrupts

    def look(token, index):
        during.append(kept(number))
        signal.raise_signal(number)

    during = []
    model.evaluate(*batch)
    sgt.Session(model).generate([1], max_tokens=2, callback=look)
    assert during == [before] * 2 and kept(number) == before
    assert seen == [number] * 2


def test_flags_and_masks_of_c(model, batch, number):
    """Whatever the host asked the system for."""
    signal.signal(number, lambda *arguments: None)
    changed = action(number)
    changed.flags |= SA_NODEFER | SA_RESTART
    changed.mask[0] = 1 << (signal.SIGUSR2 - 1)
    assert libc.sigaction(int(number), ctypes.byref(changed), None) == 0
    before = kept(number)
    model.evaluate(*batch)
    assert kept(number) == before
    assert before[1] and before[2] & SA_NODEFER


def test_a_callback_may_change_the_flag(model, number):
    signal.signal(number, lambda *arguments: None)
    sgt.Session(model).generate(
        [1], max_tokens=1, callback=lambda *seen: signal.siginterrupt(number, False)
    )
    assert kept(number)[2] & SA_RESTART


def test_a_handler_that_raises(model):
    """Its exception ends the call with the flag in its place."""
    signal.siginterrupt(signal.SIGINT, False)
    try:
        with pytest.raises(KeyboardInterrupt):
            sgt.Session(model).generate(
                [1], callback=lambda *seen: signal.raise_signal(signal.SIGINT)
            )
        assert kept(signal.SIGINT)[2] & SA_RESTART
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_asyncio(model, batch, number):
    async def main():
        loop, called = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(number, called.set)
        before = kept(number)
        model.evaluate(*batch)
        assert kept(number) == before and before[2] & SA_RESTART
        signal.raise_signal(number)
        await asyncio.wait_for(called.wait(), 10)
        loop.remove_signal_handler(number)

    asyncio.run(main())


def test_a_handler_of_c_is_not_replaced():
    """faulthandler puts its own in place of Python's, which it goes on to."""
    result = run_python(
        """
        import faulthandler, signal
        import numpy as np, libsgt as sgt
        seen = []
        signal.signal(signal.SIGUSR1, lambda *arguments: seen.append(1))
        faulthandler.register(signal.SIGUSR1, chain=True)
        model = sgt.Model(sgt.ModelConfig(8, 8, 1, 2, 8, 8))
        model.evaluate(np.zeros((1, 4), int))
        signal.raise_signal(signal.SIGUSR1)
        print(seen)
        """
    )
    assert result.stdout == "[1]\n" and "most recent call first" in result.stderr
