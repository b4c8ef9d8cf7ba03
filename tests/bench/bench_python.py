#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a training loop in Python costs beyond the same loop in C.

Both loops train a model of their own, with the same weights, batches and growth, in one process and
a step each in turn, so that both see the same machine; that every loss is the same number is
checked. The overhead is the median of the ratios of neighbouring steps.

    meson setup build-bench -Dbench=true && ninja -C build-bench
    PYTHONPATH=bindings/python/src python3 tests/bench/bench_python.py build-bench

Prints two ways to write the loop: the calls one by one, and sgt.train with a history; and for both the
time that Python itself takes, from a model so small that little else is left, which is the better
figure on a machine that is not quiet. Exit status: 0 done, 1 the losses differ or, with --limit, an
overhead is above it.
"""
from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np

WARM_UP = 3
BATCHES = 16  # in turn: what a batch holds does not change what a step costs


class Shape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in (
        "vocab_size", "d_model", "n_layers", "n_heads", "d_ff", "seq", "threads", "first_step")]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, help="a build folder with -Dbench=true")
    for name, value in (("vocab", 256), ("d-model", 192), ("layers", 4), ("heads", 6), ("ff", 512),
                        ("batch", 4), ("seq", 256), ("threads", 2), ("pairs", 150)):
        parser.add_argument("--" + name, type=int, default=value, help="(%(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    parser.add_argument("--limit", type=float, help="the largest overhead that passes, say 0.02")
    return parser.parse_args()


def c_loop(o: argparse.Namespace, batches: list[Any]) -> Iterator[float]:
    """The loop of bench_python_loop.c: a step and its loss at each turn."""
    module = ctypes.CDLL(str(o.build / "tests/bench/libbench_python_loop.so"))
    shape = Shape(o.vocab, o.d_model, o.layers, o.heads, o.ff, o.seq, o.threads, first_step(o))
    loop, loss = ctypes.c_void_p(), ctypes.c_double()
    tokens = [(x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p))
              for x, y in batches]
    module.bench_loop_close.argtypes = [ctypes.c_void_p]
    if module.bench_loop_open(ctypes.byref(loop), ctypes.byref(shape)):
        sys.exit("bench_python: the C loop cannot be made")
    try:
        for step in range(1, steps_of(o) + 1):
            x, y = tokens[step % BATCHES]
            if module.bench_loop_step(ctypes.byref(loss), loop, x, y, o.batch, o.seq,
                                      ctypes.c_int64(step)):
                sys.exit("bench_python: a step of the C loop failed")
            yield loss.value
    finally:
        module.bench_loop_close(loop)


def python_training(o: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Model, optimizer and growth policy as the C loop makes them."""
    import libsgt as sgt

    context = sgt.Context(threads=o.threads)
    model = sgt.Model(sgt.ModelConfig(vocab_size=o.vocab, d_model=o.d_model, n_layers=o.layers,
                                      n_heads=o.heads, d_ff=o.ff, max_seq_len=o.seq), context)
    policy = sgt.SparseGrowth(first_step=first_step(o), window=first_step(o))
    return model, sgt.Optimizer(model), policy


def call_by_call(o: argparse.Namespace, batches: list[Any]) -> Iterator[float]:
    import libsgt as sgt

    model, optimizer, policy = python_training(o)
    growth = sgt.Growth(model, policy)
    for step in range(1, steps_of(o) + 1):
        loss = model.forward(*batches[step % BATCHES])
        model.backward()
        optimizer.step()
        growth.step()
        yield float(loss)


def by_train(o: argparse.Namespace, batches: list[Any]) -> Iterator[float]:
    import libsgt as sgt

    model, optimizer, policy = python_training(o)
    endless = (batches[step % BATCHES] for step in range(1, steps_of(o) + 1))
    for metrics in sgt.train(model, endless, optimizer=optimizer, policy=policy,
                             steps=steps_of(o), history=sgt.History(), progress=False):
        yield metrics.loss


def make_batches(o: argparse.Namespace) -> list[Any]:
    random = np.random.default_rng(1)
    return [tuple(random.integers(0, o.vocab, (2, o.batch, o.seq), dtype=np.int32))
            for _ in range(BATCHES)]


def tiny(o: argparse.Namespace) -> argparse.Namespace:
    """A shape whose step takes less time than the interpreter."""
    return argparse.Namespace(build=o.build, vocab=16, d_model=16, layers=4, heads=2, ff=16,
                              batch=1, seq=4, threads=1, pairs=400)


def first_step(o: argparse.Namespace) -> int:
    """Growth happens in the first half of the pairs that are timed."""
    return WARM_UP + int(max(o.pairs // 8, 1))


def steps_of(o: argparse.Namespace) -> int:
    return int(WARM_UP + o.pairs)


def compare(o: argparse.Namespace,
            loop: Callable[[argparse.Namespace, list[Any]], Iterator[float]]) -> dict[str, Any]:
    """Times a step of both in turn, who goes first alternating."""
    batches = make_batches(o)
    sides = {"c": c_loop(o, batches), "python": loop(o, batches)}
    times: dict[str, list[float]] = {"c": [], "python": []}
    for pair in range(steps_of(o)):
        losses = {}
        for name in ("c", "python") if pair % 2 else ("python", "c"):
            start = time.perf_counter()
            losses[name] = next(sides[name])
            times[name].append(time.perf_counter() - start)
        if losses["c"] != losses["python"]:
            sys.exit(f"bench_python: step {pair + 1} has loss {losses['c']!r} in C, "
                     f"{losses['python']!r} in Python")
    c, python = times["c"][WARM_UP:], times["python"][WARM_UP:]
    ratios = [b / a - 1 for a, b in zip(c, python)]
    quarters = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return {
        "overhead": statistics.median(ratios),
        "overhead_quartiles": [quarters[0], quarters[2]],
        "difference_seconds": statistics.median(b - a for a, b in zip(c, python)),
        "c_step_seconds": statistics.median(c),
        "python_step_seconds": statistics.median(python),
        "pairs": len(ratios),
    }


def main() -> int:
    o = options()
    o.build = o.build.resolve()
    os.environ["SGT_LIBRARY"] = str(o.build / "lib/libsgt.so")
    print(f"d {o.d_model}, {o.layers} layers, {o.heads} heads, ff {o.ff}, V {o.vocab}, "
          f"B {o.batch}, T {o.seq}, {o.threads} threads, {o.pairs} pairs of steps")
    figures = {}
    for name, loop in (("calls", call_by_call), ("train", by_train)):
        figures[name] = row = compare(o, loop)
        row["own_seconds"] = compare(tiny(o), loop)["difference_seconds"]
        low, high = row["overhead_quartiles"]
        own = row["own_seconds"]
        print(f"{name:6} C {1e3 * row['c_step_seconds']:.3f} ms a step, Python "
              f"{1e3 * row['python_step_seconds']:.3f} ms: overhead {100 * row['overhead']:+.2f} % "
              f"(quartiles {100 * low:+.2f} to {100 * high:+.2f}), "
              f"Python's own {1e6 * own:.0f} us, {100 * own / row['c_step_seconds']:.2f} %")
    if o.json:
        o.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    worst = max(row["overhead"] for row in figures.values())
    return int(o.limit is not None and worst > o.limit)


if __name__ == "__main__":
    sys.exit(main())
