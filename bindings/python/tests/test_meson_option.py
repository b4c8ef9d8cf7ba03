# SPDX-License-Identifier: BSD-3-Clause
"""The meson option `python` installs the package beside the library."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT, run_python


def meson(*arguments):
    environment = dict(os.environ)
    environment.pop("PYTHONPATH", None)
    command = ["meson", *map(str, arguments)]
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=500
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_install(tmp_path):
    build, root = tmp_path / "build", tmp_path / "root"
    options = ["tests=false", "examples=false", "default_library=shared", "python=enabled"]
    options += ["optimization=1", "blis=disabled", f"python_interpreter={sys.executable}"]
    meson("setup", build, ROOT, "--prefix=/usr", *(f"-D{option}" for option in options))
    meson("compile", "-C", build)
    meson("install", "-C", build, "--destdir", root, "--no-rebuild")
    (package,) = root.rglob("sgt/__init__.py")
    (library,) = root.rglob("libsgt.so.0")
    assert (package.parent / "py.typed").exists()
    assert not (package.parent / "_lib").exists()
    result = run_python(
        "import sgt; print(sgt.__file__, sgt.library_path())",
        environment={
            "PYTHONPATH": str(package.parents[1]),
            "LD_LIBRARY_PATH": str(library.parent),
            "SGT_LIBRARY": None,
        },
    )
    assert result.stdout.split() == [str(package), "libsgt.so.0"], result.stderr
    assert Path(library).resolve().exists()
