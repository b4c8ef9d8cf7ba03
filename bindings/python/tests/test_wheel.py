# SPDX-License-Identifier: BSD-3-Clause
"""From a clone to a wheel, and from the wheel to a training where there is no compiler."""
from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

# Packing is what is tested here: the library need not be fast, only soon there.
QUICK = ["--config-settings", "setup-args=-Doptimization=1 -Dblis=disabled"]


def environment():
    """Without what this test run sets for itself."""
    unset = ("SGT_LIBRARY", "PYTHONPATH", "PYTHONHOME")
    return {key: value for key, value in os.environ.items() if key not in unset}


def pip(python, *arguments):
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    result = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=500
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


NEEDED = {
    "gcc": "a C compiler",
    "libc6-dev": "stdio.h",
    "librandom123-dev": "Random123/philox.h",
    "libjansson-dev": "jansson.h",
    "pkg-config": "pkg-config",
}
WANTED = {"libxxhash-dev": "xxhash.h", "libblis-serial-dev": "blis.h"}


def ask(folder, lacking, *setup_args):
    """What the build says on a machine with a compiler and pkg-config, but without some packages."""
    headers = [what for package, what in {**NEEDED, **WANTED}.items() if package in lacking]
    cases = "|".join(f"*{header}*" for header in headers) or "nothing"
    tools = {
        "cc": f'read -r line; case "$line" in {cases}) exit 1;; esac',
        "pkg-config": f"exit {int('libjansson-dev' in lacking)}",
    }
    absent = {"gcc": "cc", "pkg-config": "pkg-config"}
    for name in set(tools) - {absent.get(package) for package in lacking}:
        (folder / name).write_text(f"#!/bin/sh\n{tools[name]}\n")
        (folder / name).chmod(0o755)
    settings = {"setup-args": " ".join(setup_args)}
    return subprocess.run(
        [sys.executable, "-c", f"import build_backend as b; b.check_packages({settings})"],
        cwd=ROOT / "bindings" / "python",
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "lacking, named",
    [
        *(([package], [package]) for package in list(NEEDED)[1:]),
        (["librandom123-dev", "libjansson-dev", "pkg-config"],) * 2,
        (["gcc"], ["gcc", "libc6-dev", "librandom123-dev"]),  # which tells what headers there are
        (list(NEEDED), list(NEEDED)),
    ],
    ids=str,
)
def test_missing_packages_are_named_at_once(tmp_path, lacking, named):
    result = ask(tmp_path, lacking)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last == f"On Debian and Ubuntu: apt-get install {' '.join(named)}"


def test_a_poorer_wheel_is_announced(tmp_path):
    assert ask(tmp_path, []).stderr == ""
    result = ask(tmp_path, list(WANTED))
    assert result.returncode == 0
    assert [line.split(":")[1] for line in result.stderr.splitlines()] == [
        f" without {package}" for package in WANTED
    ]
    assert ask(tmp_path, list(WANTED), "-Dblis=disabled", "-Dchecksums=disabled").stderr == ""


def test_another_machine_is_not_asked(tmp_path):
    assert ask(tmp_path, list(NEEDED), "--cross-file=aarch64.txt").returncode == 0


def test_the_pages_name_the_packages():
    for page in ("doc/python.md", "bindings/python/README.md"):
        line = f"apt-get install {' '.join([*NEEDED, *WANTED])}\n"
        text = (ROOT / page).read_text()
        assert line in text and '"./bindings/python[plot,progress]"' in text


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A new virtual environment, with the numpy of this Python as its only package."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    numpy = Path(np.__file__).parent
    for path in [numpy, *numpy.parent.glob("numpy.libs")]:
        (site / path.name).symlink_to(path)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def wheel(clean, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip(clean, "wheel", "--no-deps", *QUICK, "-w", folder, ROOT / "bindings" / "python")
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel(wheel):
    assert re.fullmatch(r"libsgt-[\d.]+-py3-none-\w+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = wheel.name.split("-py3")[0] + ".dist-info"
        metadata = archive.read(f"{info}/METADATA").decode()
        record = archive.read(f"{info}/RECORD").decode()
    package = {f"libsgt/{path.name}" for path in (ROOT / "bindings/python/src/libsgt").glob("*.py")}
    assert package | {"libsgt/py.typed", f"{info}/LICENSE"} <= set(names)
    assert any(name.startswith("libsgt/_lib/libsgt") for name in names)
    assert not any("test" in name or "pyc" in name for name in names)
    assert "\nRequires-Dist: numpy" in metadata and "\nRequires-Python: >=3.9\n" in metadata
    assert {line.split(",")[0] for line in record.splitlines()} == set(names)


TRAINING = """
import sys
import numpy as np
import libsgt as sgt

tokens = np.random.default_rng(0).integers(0, 32, 500).astype(np.uint16)
model = sgt.Model(sgt.ModelConfig(32, 16, 2, 4, 32, 16))
policy = sgt.SparseGrowth(first_step=2, window=2)
for metrics in sgt.train(model, sgt.random_windows(tokens, 2, 16), policy=policy, steps=5):
    pass
print(sgt.library_path())
print(metrics.step, metrics.depths)
"""


def test_it_works_without_compilers_and_without_this_clone(clean, wheel, tmp_path):
    pip(clean, "install", "--no-index", "--no-deps", wheel)
    result = subprocess.run(
        [str(clean), "-I", "-c", TRAINING],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    library, last = result.stdout.splitlines()
    assert Path(library).parent.name == "_lib" and clean.parents[1] in Path(library).parents
    assert last == "5 (0, 1)"
    assert ROOT not in Path(library).parents
    listed = subprocess.run(["ldd", library], capture_output=True, text=True)
    if "jansson" in listed.stdout:
        (jansson,) = re.findall(r"libjansson\S* => (\S+)", listed.stdout)
        assert Path(jansson).parent == Path(library).parent


def test_the_source_distribution(tmp_path):
    """It has all that a wheel is built of, without the repository around it."""
    code = "import sys, build_backend; print(build_backend.build_sdist(sys.argv[1]))"
    name = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT / "bindings" / "python",
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    with tarfile.open(tmp_path / name) as archive:
        archive.extractall(tmp_path)
    unpacked = tmp_path / name[: -len(".tar.gz")]
    for folder in ("include", "lib"):
        there = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()}
        packed = (unpacked / "libsgt" / folder).rglob("*")
        assert {path.relative_to(unpacked / "libsgt") for path in packed if path.is_file()} == there
    code = (
        "import sys, pathlib, build_backend\n"
        "build_backend.configure(pathlib.Path(sys.argv[1]), None)\n"
        "print(build_backend.sources())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "build")],
        cwd=unpacked,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()) == unpacked / "libsgt"
