#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A growth policy of one's own, in Python; examples/custom_policy.c is the same in C.

Every `interval` steps it looks for the head whose attention is spread out the most in a layer that
has no loop yet, and has that one head attend a second time; it ends when no head is above a
threshold or enough layers loop. Half-way the training is saved to a file and resumed from it.
"""
from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Iterator

import numpy as np
import numpy.typing as npt

import libsgt as sgt

LAYERS, HEADS, VOCABULARY, BATCH, SEQ, PERIOD, STEPS = 4, 4, 24, 8, 32, 4, 240

Tokens = npt.NDArray[np.int32]


class MostSpread(sgt.Policy):
    """What must survive in a checkpoint is in self.state, which JSON can hold."""

    entropy = "mean"

    def __init__(self, interval: int = 40, most_loops: int = 3, threshold: float = 0.5) -> None:
        super().__init__()
        self.interval, self.most_loops, self.threshold = interval, most_loops, threshold

    def create(self, n_layers: int, n_heads: int) -> None:
        self.state = {"average": np.zeros((n_layers, n_heads)).tolist(), "looped": [],
                      "over": False}

    def decide(self, obs: sgt.Observation, plan: sgt.Plan) -> sgt.GrowthEvent | None:
        average = np.array(self.state["average"])
        if obs.mean_entropy is not None:  # missing once growth is over
            seen = obs.mean_entropy[:, 0]  # pass 0 of every head: (n_layers, n_heads)
            average = np.where(np.isnan(seen), average, 0.9 * average + 0.1 * seen)
            self.state["average"] = average.tolist()
        if self.state["over"] or obs.step % self.interval:
            return None
        average[self.state["looped"]] = 0
        layer, head = (int(i) for i in np.unravel_index(average.argmax(), average.shape))
        if len(self.state["looped"]) == self.most_loops or average[layer, head] <= self.threshold:
            self.state["over"] = True
            return sgt.GrowthEvent("fix", layers=tuple(sorted(self.state["looped"])))
        self.state["looped"].append(layer)
        gains = np.zeros(plan.n_heads, dtype=np.float32)
        gains[head] = 1  # the other heads are not computed in the new pass
        plan.set_depth(layer, 1)
        plan.set_gains(layer, 1, gains)
        return sgt.GrowthEvent("select", layer=layer, depth=1, heads=(head,))


def repeating(seed: int = 0) -> Iterator[tuple[Tokens, Tokens]]:
    """Sequences that repeat PERIOD random tokens: to know the next one, look PERIOD - 1 back."""
    random = np.random.default_rng(seed)
    while True:
        start = random.integers(0, VOCABULARY, (BATCH, PERIOD), dtype=np.int32)
        row = np.tile(start, (1, SEQ // PERIOD + 1))
        yield row[:, :SEQ], row[:, 1:SEQ + 1]


def train(model: sgt.Model, optimizer: sgt.Optimizer, growth: sgt.Growth, batches:
          Iterator[tuple[Tokens, Tokens]], steps: int) -> None:
    for metrics in sgt.train(model, batches, optimizer=optimizer, growth=growth, steps=steps,
                             progress=False):
        if metrics.event.action == "select":
            print(f"step {metrics.step:3}: head {metrics.event.heads[0]} of layer "
                  f"{metrics.event.layer} attends twice")
        elif metrics.event.action == "fix":
            print(f"step {metrics.step:3}: growth is over, layers {metrics.event.layers} loop")
        if metrics.step % 40 == 0:
            print(f"step {metrics.step:3}: loss {metrics.loss:.4f}")


def main() -> None:
    model = sgt.Model(sgt.ModelConfig(vocab_size=VOCABULARY, d_model=32, n_layers=LAYERS,
                                      n_heads=HEADS, d_ff=64, max_seq_len=SEQ))
    optimizer = sgt.Optimizer(model, lr=3e-3)
    growth = sgt.Growth(model, MostSpread())
    batches = repeating()
    train(model, optimizer, growth, batches, STEPS // 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "half.safetensors"
        sgt.Checkpoint.save(path, model, optimizer=optimizer, growth=growth)
        resumed = sgt.Checkpoint(path).create(MostSpread())
    assert resumed.optimizer and resumed.growth
    train(resumed.model, resumed.optimizer, resumed.growth, batches, STEPS // 2)
    print(f"the loops cost {100 * resumed.model.flops_total.overhead:.2f} % more FLOPs")


if __name__ == "__main__":
    main()
