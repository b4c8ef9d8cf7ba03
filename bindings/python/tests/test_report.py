# SPDX-License-Identifier: BSD-3-Clause
"""python -m libsgt report, as from a shell."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import made_log
import pytest


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "libsgt", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


def test_draws_a_log(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    log = made_log.write(tmp_path / "run.jsonl", made_log.records())
    result = run("report", log, "-o", tmp_path / "picture.png", "--title", "Mine", "--dpi", "60")
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    assert result.stdout == f"{tmp_path / 'picture.png'}\n"
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    result = run("report", log)
    assert result.returncode == 0 and (tmp_path / "run.png").exists()


@pytest.mark.parametrize("lines, reason", [
    (None, "No such file"),
    ("", "no steps"),
    ('{"type": "run"}\n', "no steps"),
    ('{"type": "run"}\nnonsense\n', "line 2"),
    ('{"type": "step"}\n', "line 1"),
])
def test_refuses_what_is_no_log(tmp_path: Path, lines: str | None, reason: str) -> None:
    log = tmp_path / "run.jsonl"
    if lines is not None:
        log.write_text(lines)
    result = run("report", log)
    assert result.returncode == 2 and reason in result.stderr, result
    assert "Traceback" not in result.stderr and list(tmp_path.glob("*.png")) == []


def test_says_what_could_not_be_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    log = made_log.write(tmp_path / "run.jsonl", made_log.records())
    for output in (tmp_path / "no" / "folder.png", tmp_path / "picture.unknown"):
        result = run("report", log, "-o", output)
        assert result.returncode == 1 and result.stderr.startswith("python -m libsgt: "), result
        assert "Traceback" not in result.stderr


def test_says_what_is_missing_without_matplotlib(tmp_path: Path) -> None:
    log = made_log.write(tmp_path / "run.jsonl", made_log.records())
    script = ("import sys; sys.modules['matplotlib'] = None\n"
              "from libsgt.__main__ import main\n"
              f"sys.exit(main(['report', {str(log)!r}]))")
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert result.returncode == 1, result
    assert "pip install matplotlib" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [[], ["report"], ["draw"], ["report", "log", "--size"]])
def test_usage(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.returncode == 2 and "usage: python -m libsgt" in result.stderr
