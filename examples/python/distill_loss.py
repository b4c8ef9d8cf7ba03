#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A loss written in numpy: a small model learns from the probabilities of a larger one.

The teacher learns sequences that repeat a few random tokens. The student never sees a target: its
loss is the Kullback-Leibler divergence from the teacher, softened by a temperature T (Hinton,
Vinyals and Dean 2015), with the gradient given to the library through the logits. It grows as in
any other training.
"""
from __future__ import annotations

from typing import Iterator

import numpy as np
import numpy.typing as npt

import libsgt as sgt

VOCABULARY, BATCH, SEQ, PERIOD, TEMPERATURE = 24, 8, 32, 4, 2.0
TEACHER_STEPS, STUDENT_STEPS = 700, 700

Tokens = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


def repeating(seed: int) -> Iterator[tuple[Tokens, Tokens]]:
    """Tokens and targets (BATCH, SEQ); what comes before the first repetition is not asked."""
    random = np.random.default_rng(seed)
    while True:
        start = random.integers(0, VOCABULARY, (BATCH, PERIOD), dtype=np.int32)
        row = np.tile(start, (1, SEQ // PERIOD + 1))
        targets = row[:, 1:SEQ + 1].copy()
        targets[:, :PERIOD - 1] = -1
        yield row[:, :SEQ], targets


def log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def distill(student: Floats, teacher: Floats) -> tuple[float, Floats]:
    """T^2 KL(teacher || student) per token, and its gradient for the logits (B, T, V)."""
    ours, theirs = log_softmax(student / TEMPERATURE), log_softmax(teacher / TEMPERATURE)
    wanted = np.exp(theirs)
    tokens = student.shape[0] * student.shape[1]
    loss = TEMPERATURE**2 * float((wanted * (theirs - ours)).sum()) / tokens
    return loss, (np.exp(ours) - wanted) * np.float32(TEMPERATURE / tokens)


def make_model(context: sgt.Context, width: int, layers: int) -> sgt.Model:
    config = sgt.ModelConfig(vocab_size=VOCABULARY, d_model=width, n_layers=layers, n_heads=4,
                             d_ff=2 * width, max_seq_len=SEQ)
    return sgt.Model(config, context, std=width**-0.5)


def train_teacher(context: sgt.Context) -> sgt.Model:
    teacher = make_model(context, 64, 3)
    loss = np.nan
    for metrics in sgt.train(teacher, repeating(1), optimizer=sgt.Optimizer(teacher, lr=3e-3),
                             steps=TEACHER_STEPS, progress=False):
        loss = metrics.loss
    print(f"teacher: loss {loss:.4f} after {TEACHER_STEPS} steps")
    return teacher


def train_student(student: sgt.Model, teacher: sgt.Model) -> None:
    optimizer = sgt.Optimizer(student, lr=3e-3)
    growth = sgt.Growth(student, sgt.SparseGrowth(first_step=100, window=50, max_layers=1))
    for step, (tokens, _) in zip(range(1, STUDENT_STEPS + 1), repeating(2)):
        wanted = teacher.evaluate(tokens, logits=True).logits
        assert wanted is not None
        loss, dlogits = distill(student.forward_logits(tokens), wanted)
        student.backward_logits(dlogits)
        event = growth.step(optimizer.step(), loss)
        if event:
            print(f"step {step:3}: {event.action} {event.layers or event.layer}")
        if step % 100 == 0:
            print(f"step {step:3}: divergence {loss:.4f}")


def main() -> None:
    context = sgt.Context()
    teacher = train_teacher(context)
    student = make_model(context, 32, 2)
    train_student(student, teacher)
    tokens, targets = next(repeating(3))
    print(f"student: loss {student.evaluate(tokens, targets):.4f} on targets it never saw, "
          f"teacher {teacher.evaluate(tokens, targets):.4f}")


if __name__ == "__main__":
    main()
