# SPDX-License-Identifier: BSD-3-Clause
"""Which library is loaded, and what is said when none can be."""
from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import SOURCE, run_python

import libsgt as sgt

LIBRARY = Path(sgt.library_path()).resolve()
SHOW = "import libsgt as sgt; print(sgt.library_path())"


def copy_of_the_package(folder):
    unwanted = shutil.ignore_patterns("_lib", "*.pyc")
    shutil.copytree(SOURCE / "libsgt", folder / "libsgt", ignore=unwanted)
    return {"PYTHONPATH": str(folder)}


def fake_library(folder, source):
    (folder / "fake.c").write_text(source)
    path = folder / "libfake.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    command = compiler + ["-shared", "-fPIC", str(folder / "fake.c"), "-o", str(path)]
    subprocess.run(command, check=True)
    return {"SGT_LIBRARY": str(path)}


def import_error(environment):
    result = run_python(SHOW, environment=environment)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: libsgt: "), result.stderr
    return last


def test_the_environment_comes_first(tmp_path):
    environment = copy_of_the_package(tmp_path)
    (tmp_path / "libsgt" / "_lib").mkdir()
    (tmp_path / "libsgt" / "_lib" / "libsgt.so.0.2").write_bytes(b"not this one")
    environment["SGT_LIBRARY"] = str(LIBRARY)
    assert run_python(SHOW, environment=environment).stdout.strip() == str(LIBRARY)


def test_then_the_library_in_the_package(tmp_path):
    environment = copy_of_the_package(tmp_path)
    inside = tmp_path / "libsgt" / "_lib" / "libsgt.so.0.2"
    inside.parent.mkdir()
    inside.symlink_to(LIBRARY)
    environment["SGT_LIBRARY"] = None
    assert run_python(SHOW, environment=environment).stdout.strip() == str(inside)


def test_then_the_system(tmp_path):
    environment = copy_of_the_package(tmp_path)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libsgt.so.0.2").symlink_to(LIBRARY)
    environment.update(SGT_LIBRARY=None, LD_LIBRARY_PATH=str(tmp_path / "lib"))
    assert run_python(SHOW, environment=environment).stdout.strip() == "libsgt.so.0.2"


def test_none_at_all(tmp_path):
    environment = copy_of_the_package(tmp_path)
    environment.update(SGT_LIBRARY=None, LD_LIBRARY_PATH=str(tmp_path))
    if run_python(SHOW, environment=environment).returncode == 0:
        pytest.skip("this system has libsgt installed")
    message = import_error(environment)
    assert "'libsgt.so.0.2' of the system" in message and "SGT_LIBRARY is not set" in message


def test_a_wrong_path(tmp_path):
    message = import_error({"SGT_LIBRARY": str(tmp_path / "nothing.so")})
    assert "nothing.so" in message and "environment variable SGT_LIBRARY" in message
    (tmp_path / "text.so").write_text("no library")
    assert "text.so" in import_error({"SGT_LIBRARY": str(tmp_path / "text.so")})


def test_another_library(tmp_path):
    message = import_error(fake_library(tmp_path, "int nothing(void) { return 0; }"))
    assert "is not libsgt" in message


@pytest.mark.parametrize(
    "version, fits", [("0.1.9", False), ("1.0.0", False), ("0.3.0", False), ("0.2.3", True)]
)
def test_versions(tmp_path, version, fits):
    source = f'const char *sgt_version(void) {{ return "{version}"; }}'
    message = import_error(fake_library(tmp_path, source))
    if fits:
        assert "lacks the function" in message
    else:
        assert f"is version {version}" in message and "0.2.0" in message
