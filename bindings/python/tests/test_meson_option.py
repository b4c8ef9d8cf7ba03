# SPDX-License-Identifier: BSD-3-Clause
"""The meson option `python` installs the package beside the library."""
from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import run_python

import libsgt as sgt

BUILD = Path(sgt.library_path()).absolute().parents[1]


def meson(*arguments):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        ["meson", *map(str, arguments)], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def options():
    if not (BUILD / "meson-info").is_dir():
        return {}
    return {option["name"]: option["value"] for option in json.loads(
        (BUILD / "meson-info" / "intro-buildoptions.json").read_text()
    )}


@pytest.mark.skipif(options().get("python") != "enabled", reason="a build without -Dpython=enabled")
def test_install(tmp_path):
    meson("install", "-C", BUILD, "--destdir", tmp_path, "--no-rebuild")
    (package,) = tmp_path.rglob("libsgt/__init__.py")
    (library,) = tmp_path.rglob("libsgt.so.0.2")
    assert (package.parent / "py.typed").exists()
    assert not list(package.parent.rglob("_lib"))
    result = run_python(
        "import libsgt as sgt\n"
        "print(sgt.__file__, sgt.library_path(), sgt.Context().backend.name != '')",
        environment={
            "PYTHONPATH": str(package.parents[1]),
            "LD_LIBRARY_PATH": str(library.parent),
            "SGT_LIBRARY": None,
        },
    )
    assert result.stdout.split() == [str(package), "libsgt.so.0.2", "True"], result.stderr
