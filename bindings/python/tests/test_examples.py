# SPDX-License-Identifier: BSD-3-Clause
"""The Python examples, and the program of doc/python.md as it stands there."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import libsgt as sgt

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "python"
TEXT = ROOT / "doc" / "maths.md"


def run(program: Path, *arguments: object, folder: Path,
        status: int = 0) -> "subprocess.CompletedProcess[str]":
    """Runs a program in a folder, with the package of this process."""
    result = subprocess.run([sys.executable, str(program), *map(str, arguments)], cwd=folder,
                            capture_output=True, text=True, timeout=500,
                            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert result.returncode == status, result.stdout + result.stderr
    assert "Traceback" not in result.stderr, result.stderr
    return result


def test_the_ten_lines_of_the_documentation(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = re.search(r"```python\n(.*?)```", (ROOT / "doc" / "python.md").read_text(), re.DOTALL)
    assert found
    program = [line for line in found[1].splitlines() if line.strip()]
    assert len(program) <= 10
    last = ("assert [r['action'] for r in history.of_type('growth')] == 3 * ['select'] + ['fix']\n"
            "assert history.series('loss')[1][-20:].mean() < 3.5\n"
            "assert len(history.entropies()[0]) == 400")
    (tmp_path / "program.py").write_text(found[1] + last)
    (tmp_path / "novel.txt").write_bytes(TEXT.read_bytes())
    run(tmp_path / "program.py", folder=tmp_path)
    assert (tmp_path / "grown.png").read_bytes().startswith(b"\x89PNG")


def test_train_text(tmp_path: Path) -> None:
    small = "--d-model 32 --layers 4 --heads 2 --ff 64 --batch 4 --seq 32 --steps 60".split()
    output = run(EXAMPLES / "train_text.py", TEXT, *small, "--sample-bytes", 20, "--log",
                 tmp_path / "log", "--figure", tmp_path / "picture.png", folder=tmp_path).stdout
    history = sgt.History.read(tmp_path / "log")
    losses = history.series("loss")[1]
    assert len(losses) == 60 and losses[-1] < losses[0] - 1, losses
    assert len(history.of_type("eval")) == 10 and len(history.entropies()[0]) == 60
    assert output.count("growth: layer") == 3 and "---- sample ----\nShe " in output, output
    bits = re.search(r"held-out: (\d\.\d+) bits per byte\n$", output)
    assert bits and float(bits[1]) < 6.5, output
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        assert "pip install matplotlib" in output
    else:
        assert f"picture: {tmp_path / 'picture.png'}\n" in output
        assert (tmp_path / "picture.png").exists()
    sparse = "--feed-forward relu --units 16 --controller-rank 8 --head-modules 4 --unit-scale"
    output = run(EXAMPLES / "train_text.py", TEXT, *small, *sparse.split(), "--figure",
                 tmp_path / "sparse.png", folder=tmp_path).stdout
    bits = re.search(r"held-out: (\d\.\d+) bits per byte\n$", output)
    read = re.findall(r"\((\S+) MB of weights\)", output)
    assert bits and float(bits[1]) < 7.2 and float(read[2]) < float(read[1]), output
    (tmp_path / "short").write_text("short")
    result = run(EXAMPLES / "train_text.py", tmp_path / "short", folder=tmp_path, status=2)
    assert "too short" in result.stderr


def test_train_books(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_bytes(TEXT.read_bytes()[:9000])
    small = ("--d-model 32 --layers 3 --heads 2 --ff 64 --seq 96 --short 24 --batch 2 --steps 40 "
             "--pattern local:8,block+summary:8:2 --figure seen.png").split()
    output = run(EXAMPLES / "train_books.py", tmp_path / "book.txt", TEXT, "--held-out",
                 tmp_path / "book.txt", *small, folder=tmp_path).stdout
    share = re.search(r"attention computes (\S+) % of the pairs of 96 bytes\n", output)
    pairs = [sgt.AttentionPattern.parse(spec).pairs(96)
             for spec in ("local:8", "block+summary:8:2")]
    assert share and float(share[1]) == pytest.approx(
        100 * (2 * pairs[0] + pairs[1]) / 3 / (96 * 97 / 2), abs=0.06), output
    assert output.count(" loops, heads ") == 4 and output.count("  7680 bytes in ") == 2, output
    bits = [(int(context), float(value)) for context, value in
            re.findall(r"held-out, (\d+) bytes at a time: (\S+) bits per byte\n", output)]
    assert [context for context, _ in bits] == [24, 96, 24], output
    assert all(value < 7 for _, value in bits), output
    losses = [float(loss) for loss in re.findall(r"loss (\S+)", output)]
    assert len(losses) == 10 and losses[4] < losses[0] and losses[9] < losses[5], output
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        assert "pip install matplotlib" in output
    else:
        assert "picture: seen.png\n" in output
        assert (tmp_path / "seen.png").read_bytes().startswith(b"\x89PNG")
    result = run(EXAMPLES / "train_books.py", TEXT, "--held-out", TEXT, "--seq", "90000",
                 folder=tmp_path, status=2)
    assert "longer than a book" in result.stderr
    result = run(EXAMPLES / "train_books.py", TEXT, "--held-out", TEXT, "--pattern", "locale:3",
                 folder=tmp_path, status=2)
    assert "'locale:3' is no pattern" in result.stderr


def test_custom_policy(tmp_path: Path) -> None:
    output = run(EXAMPLES / "custom_policy.py", folder=tmp_path).stdout
    steps = re.findall(r"step +(\d+): head \d of layer \d attends twice", output)
    losses = [float(loss) for loss in re.findall(r"loss (\S+)", output)]
    assert steps and min(map(int, steps)) == 40, output
    assert losses[-1] < 0.5 * losses[0], output
    overhead = re.search(r"cost (\S+) % more", output)
    assert overhead and 0 < float(overhead[1]) < 10, output


def test_distill_loss(tmp_path: Path) -> None:
    output = run(EXAMPLES / "distill_loss.py", folder=tmp_path).stdout
    divergence = [float(value) for value in re.findall(r"divergence (\S+)", output)]
    student = re.search(r"student: loss (\S+) .* teacher (\S+)\n$", output)
    assert divergence[-1] < 0.1 * divergence[0] and "select 1" in output, output
    assert student and float(student[1]) < 0.2, output


def test_finetune_hf(tmp_path: Path) -> None:
    base, grown = tmp_path / "base", tmp_path / "grown"
    base.mkdir()
    model = sgt.Model(sgt.ModelConfig(vocab_size=31, d_model=16, n_layers=3, n_heads=4,
                                      n_kv_heads=2, d_ff=24, max_seq_len=64), std=0.2)
    model.save_pretrained(base)
    np.array([(3 * i * i + i) % 31 for i in range(2000)], dtype="<u2").tofile(tmp_path / "tokens")
    program = EXAMPLES / "finetune_hf.py"
    fast = ("--seq", 32, "--lr", "3e-3")  # for a tiny model that was never trained
    output = run(program, base, grown, "--tokens", tmp_path / "tokens", "--steps", 60, *fast,
                 folder=tmp_path).stdout
    losses = [float(loss) for loss in re.findall(r"step \d+: loss (\S+)", output)]
    assert losses[-1] < losses[0] - 0.5 and output.count(" loops\n") == 2, output
    before, after = (float(loss) for loss in re.findall(r"held-out loss \w+: (\S+) \(192", output))
    assert after < before - 0.5, output
    plan = sgt.Model.from_pretrained(grown).plan
    assert sum(plan.depths) == 2
    assert {float(gain) for gain in plan.gains(plan.depths.index(1), 1)} == {0, np.float32(0.1)}

    wide, plain = tmp_path / "wide", tmp_path / "plain"
    wide.mkdir()
    sgt.Model(sgt.ModelConfig(vocab_size=66000, d_model=8, n_layers=1, n_heads=2, d_ff=8,
                              max_seq_len=64)).save_pretrained(wide)
    ids = np.array([65999 - i % 7 for i in range(400)])
    ids.astype("<u4").tofile(tmp_path / "tokens32")
    output = run(program, wide, plain, "--tokens", tmp_path / "tokens32", "--steps", 3, *fast,
                 "--gain", 0, "--held", tmp_path / "tokens32", folder=tmp_path).stdout
    assert re.findall(r"\((\d+) tokens\)", output) == ["384", "384"] and "loops" not in output
    assert not any(sgt.Model.from_pretrained(plain).plan.depths)
    result = run(program, base, grown, "--tokens", tmp_path / "tokens", "--seq", 300,
                 folder=tmp_path, status=1)
    assert "more than --seq 300" in result.stderr
    result = run(program, tmp_path / "missing", grown, "--tokens", tmp_path / "tokens",
                 folder=tmp_path, status=1)
    assert result.stderr.startswith("finetune_hf.py: "), result.stderr


def spread(model: sgt.Model, dense: sgt.Model, tokens: "np.ndarray[Any, Any]") -> float:
    """How far apart their logits are, as a share of the dense ones."""
    given, expected = (m.evaluate(tokens, logits=True).logits for m in (model, dense))
    assert given is not None and expected is not None
    return float(np.abs(given - expected).mean() / np.abs(expected).mean())


def test_give_controller(tmp_path: Path) -> None:
    """Units moved, but no output; choices that are better than none; a folder that can be tuned."""
    base, kept, new, tuned = (tmp_path / name for name in ("base", "kept", "new", "tuned"))
    dense = sgt.Model(sgt.ModelConfig(vocab_size=31, d_model=16, n_layers=3, n_heads=4,
                                      n_kv_heads=2, d_ff=24, max_seq_len=64), std=0.2)
    dense.save_pretrained(base)
    ids = np.random.default_rng(1).integers(0, 31, 4000)
    ids.astype("<u2").tofile(tmp_path / "tokens")
    program = EXAMPLES / "give_controller.py"
    arguments = (base, new, "--tokens", tmp_path / "tokens", "--units", 4, "--rank", 8, "--count",
                 2048, "--seq", 32)
    output = run(program, base, kept, *arguments[2:], "--layers", "0,2-2", "--refit", 0,
                 folder=tmp_path).stdout
    figures = [[float(x) for x in line] for line in re.findall(
        r"layer [02]: .* choice (\S+), .* controller's (\S+), .* down (\S+); .* on (\S+)\n", output)]
    assert len(figures) == 2, output
    for best, chosen, refitted, agreement in figures:
        assert 1 > best > chosen == refitted > 0.5 and 0.4 < agreement < 1, output

    sparse = sgt.Model.from_pretrained(kept)
    assert [block.units for block in sparse.config.blocks] == [4, 0, 4]
    moved = sgt.Model(dense.config, seed=None)
    for name in dense.names:
        moved.write_parameter(name, sparse.parameter(name))
    gate = "model.layers.0.mlp.gate_proj.weight"
    assert not np.array_equal(moved.parameter(gate), dense.parameter(gate))
    tokens = ids[:64].reshape(2, 32)
    assert spread(moved, dense, tokens) < 1e-6
    by_controller = spread(sparse, dense, tokens)
    for layer in (0, 2):  # by bias alone: each token gets the unit that is best on average
        up = f"model.layers.{layer}.mlp.controller.up.weight"
        sparse.write_parameter(up, np.zeros_like(sparse.parameter(up)))
    assert 0 < by_controller < 0.9 * spread(sparse, dense, tokens)

    output = run(program, *arguments, folder=tmp_path).stdout
    figures = re.findall(r"controller's (\S+), .* down (\S+);", output)
    assert len(figures) == 3 and all(float(after) > float(before) for before, after in figures)
    assert [block.units for block in sgt.Model.from_pretrained(new).config.blocks] == [4, 4, 4]
    output = run(EXAMPLES / "finetune_hf.py", new, tuned, "--tokens", tmp_path / "tokens",
                 "--steps", 20, "--seq", 32, "--lr", "1e-3", "--gain", 0, folder=tmp_path).stdout
    before, after = (float(loss) for loss in re.findall(r"held-out loss \w+: (\S+)", output))
    assert after < before, output
    up = "model.layers.1.mlp.controller.up.weight"
    assert not np.array_equal(sgt.Model.from_pretrained(tuned).parameter(up),
                              sgt.Model.from_pretrained(new).parameter(up))

    for given, culprit in (((*arguments, "--units", 5), "groups of 5 do not part the 24 units"),
                           ((*arguments, "--rank", 17), "--rank: 17"),
                           ((*arguments, "--layers", "1-3"), "'1-3' is none of the layers 0 to 2"),
                           ((*arguments, "--seq", 512), "8 windows of --seq 512"),
                           ((new, kept, *arguments[2:]), "no dense LLaMA")):
        result = run(program, *given, folder=tmp_path, status=1)
        assert culprit in result.stderr, result.stderr
