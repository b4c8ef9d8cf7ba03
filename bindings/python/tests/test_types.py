# SPDX-License-Identifier: BSD-3-Clause
"""The hints of the package hold under mypy --strict, for the oldest Python that it is for."""
from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

pytest.importorskip("mypy")

# The hints of a later numpy need a later Python.
OLDEST = (
    ["--python-version", "3.9"] if np.lib.NumpyVersion(np.__version__) < "1.25.0" else []
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("mypy"))


def test_hints(cache):
    command = [sys.executable, "-m", "mypy", "--cache-dir", cache, *OLDEST]
    result = subprocess.run(
        command, cwd=ROOT / "bindings" / "python", capture_output=True, text=True, timeout=500
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_what_users_write_is_checked(tmp_path, cache):
    """The hints reach users (py.typed), and refuse what is wrong."""
    (tmp_path / "use.py").write_text(
        "import libsgt as sgt\n"
        "model = sgt.Model(sgt.ModelConfig(32, 16, 2, 4, 32, 16))\n"
        "reveal_type(model.forward([[1]]))\n"
        "reveal_type(next(sgt.train(model, [])).loss)\n"
        "sgt.Optimizer(model, lr='fast')\n"
        "sgt.Optimizer(model, schedule='cosin')\n"
        "sgt.SparseGrowth(ramp='warn')\n"
        "sgt.train(model, [], entropies='none').run()\n"
        "sgt.Session(model, weights='int8')\n"
        "sgt.plot.report(sgt.History(), kind='first')\n"
        "class Mine(sgt.Policy):\n"
        "    entropy = 'mean'\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache, *OLDEST, "use.py"],
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT / "bindings" / "python" / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=500,
    )
    for line, argument in enumerate(("schedule", "ramp", "entropies", "weights", "kind"), 6):
        wrong = f'use.py:{line}: error: Argument (1|"{argument}") to .* has incompatible type'
        assert re.search(wrong, result.stdout), result.stdout
    assert "use.py:11" not in result.stdout and "use.py:12" not in result.stdout
    assert 'use.py:3: note: Revealed type is "libsgt.loss.Loss"' in result.stdout
    assert 'use.py:4: note: Revealed type is "builtins.float"' in result.stdout
    assert 'use.py:5: error: Argument "lr" to "Optimizer" has incompatible type' in result.stdout
