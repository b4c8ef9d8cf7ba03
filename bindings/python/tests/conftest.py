# SPDX-License-Identifier: BSD-3-Clause
"""Small models and batches. The library is the one that SGT_LIBRARY names."""
from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import libsgt as sgt

# A shell's background job, nohup or cron may have had them ignored before Python began.
for _name in ("SIGINT", "SIGQUIT", "SIGHUP", "SIGTERM"):
    _number = getattr(signal, _name, None)
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "bindings" / "python" / "src"

VOCABULARY = 32
LAYERS = 3
HEADS = 4
SEQ = 16


def small_config(**fields):
    values = dict(
        vocab_size=VOCABULARY,
        d_model=16,
        n_layers=LAYERS,
        n_heads=HEADS,
        d_ff=32,
        max_seq_len=SEQ,
    )
    values.update(fields)
    return sgt.ModelConfig(**values)


def make_batch(seed=0, batch=2, seq=SEQ):
    rows = np.random.default_rng(seed).integers(0, VOCABULARY, (batch, seq + 1), np.int32)
    return np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, 1:])


def random_entropies(layers=LAYERS, passes=1, heads=HEADS, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 1, (layers, passes, heads))


def run_python(code, *arguments, environment=None, timeout=120):
    """Runs a program in a Python of its own; its status and output are the result."""
    named = dict(os.environ, PYTHONPATH=f"{SOURCE}{os.pathsep}{Path(__file__).parent}")
    named.update(environment or {})
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env={key: value for key, value in named.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.fixture
def context():
    with sgt.Context(threads=1) as made:
        yield made


@pytest.fixture
def model(context):
    with sgt.Model(small_config(), context, std=0.2) as made:
        yield made


@pytest.fixture
def batch():
    return make_batch()


@pytest.fixture
def collected():
    """Frees what is out of reach now."""

    def collect():
        for _ in range(3):
            gc.collect()

    return collect
