# SPDX-License-Identifier: BSD-3-Clause
"""Builds wheels (PEP 517, PEP 660): runs meson on the repository and packs what it made.

The package is Python only, but for the library inside it, so a wheel fits every Python 3 of one
platform: py3-none-PLATFORM. Libraries that libsgt needs and that not every system has (jansson) are
packed beside it and found there. Settings, as ``pip wheel -C NAME=VALUE``:

    platform    the tag of the platform; default: this one (for example linux_x86_64)
    build-dir   where meson builds; default: a temporary folder
    setup-args  more options for ``meson setup``, separated by spaces
"""
from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

HERE = Path(__file__).resolve().parent
PACKAGE = HERE / "src" / "libsgt"

# What a wheel may expect of a Linux system.
SYSTEM_LIBRARIES = {
    "libc", "libm", "libpthread", "libdl", "librt", "libgcc_s", "ld-linux", "ld-linux-x86-64",
    "ld-linux-aarch64", "linux-vdso",
}  # fmt: skip

# What the library is built of, in the repository.
LIBRARY = ("meson.build", "meson_options.txt", "COPYING", "include", "lib", "doc/meson.build")

Settings = Optional[Mapping[str, Any]]


def say(text: str) -> None:
    print(f"libsgt: {text}", file=sys.stderr, flush=True)


# ---- what is built ----


def project() -> Dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    with open(HERE / "pyproject.toml", "rb") as file:
        table: Dict[str, Any] = tomllib.load(file)["project"]
    return table


def sources() -> Path:
    """The repository, or its copy inside a source distribution."""
    for root in (HERE / "libsgt", HERE.parents[1]):
        if (root / "meson.build").is_file() and (root / "include" / "sgt").is_dir():
            return root
    raise SystemExit(
        "libsgt: the sources of the library are not beside bindings/python. Install from a clone, "
        "with pip 21.3 or newer, which builds in place: pip install ./bindings/python"
    )


def metadata() -> str:
    table = project()
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {table['name']}",
        f"Version: {table['version']}",
        f"Summary: {table['description']}",
        f"License: {table['license']['text']}",
        f"Requires-Python: {table['requires-python']}",
    ]
    lines += [f"Classifier: {item}" for item in table["classifiers"]]
    lines += [f"Requires-Dist: {item}" for item in table["dependencies"]]
    for extra, items in table["optional-dependencies"].items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f'Requires-Dist: {item} ; extra == "{extra}"' for item in items]
    lines.append("Description-Content-Type: text/markdown")
    return "\n".join(lines) + "\n\n" + (HERE / table["readme"]).read_text(encoding="utf-8")


def info_folder() -> str:
    table = project()
    return f"{table['name']}-{table['version']}.dist-info"


def info_files(tag: str) -> Dict[str, bytes]:
    """What a wheel says about itself, but for the list of its files."""
    wheel = f"Wheel-Version: 1.0\nGenerator: libsgt\nRoot-Is-Purelib: false\nTag: {tag}\n"
    return {
        "METADATA": metadata().encode(),
        "LICENSE": (sources() / "COPYING").read_bytes(),
        "WHEEL": wheel.encode(),
    }


def tag(settings: Settings) -> str:
    platform = (settings or {}).get("platform") or sysconfig.get_platform()
    return "py3-none-" + re.sub(r"[^A-Za-z0-9]", "_", platform)


# ---- what the library is built with ----


class Machine:
    """What this machine has of what is needed, asked as meson will ask."""

    def __init__(self) -> None:
        named = shlex.split(os.environ.get("CC", ""))
        found = (name for name in ("cc", "gcc", "clang") if shutil.which(name))
        self.compiler = named or list(itertools.islice(found, 1))
        own = os.environ.get("PKG_CONFIG")
        tools = [own] if own else ["pkg-config", "pkgconf"]
        self.pkg_config = next((tool for tool in tools if shutil.which(tool)), None)

    def compiles(self) -> bool:
        return bool(self.compiler) and shutil.which(self.compiler[0]) is not None

    def header(self, *names: str) -> bool:
        """Whether one of the headers is there."""
        flags = shlex.split(f"{os.environ.get('CPPFLAGS', '')} {os.environ.get('CFLAGS', '')}")
        command = [*self.compiler, *flags, "-E", "-x", "c", "-o", os.devnull, "-"]
        return self.compiles() and any(
            succeeds(command, f"#include <{name}>\n") for name in names
        )

    def jansson(self) -> bool:
        if self.pkg_config and succeeds([self.pkg_config, "--exists", "jansson >= 2.12"]):
            return True
        return (not self.pkg_config or shutil.which("cmake") is not None) and self.header("jansson.h")

    def finds_packages(self) -> bool:
        return self.pkg_config is not None or shutil.which("cmake") is not None


def succeeds(command: List[str], text: str = "") -> bool:
    try:
        result = subprocess.run(command, input=text.encode(), capture_output=True)
    except OSError:
        return False
    return result.returncode == 0


def arguments(settings: Settings) -> List[str]:
    """The host's own options for ``meson setup``."""
    return str((settings or {}).get("setup-args", "")).split()


def check_packages(settings: Settings) -> None:
    """Names everything that is missing at once, and what the wheel will be without."""
    given = arguments(settings)
    if os.name == "nt" or any(re.match("--(cross|native)-file", option) for option in given):
        return  # another compiler than this knows of
    machine = Machine()
    needed = [
        ("gcc", "a C compiler", machine.compiles()),
        ("libc6-dev", "the headers of C", machine.header("stdio.h")),
        ("librandom123-dev", "the headers of Random123", machine.header("Random123/philox.h")),
        ("libjansson-dev", "jansson 2.12", machine.jansson()),
        ("pkg-config", "pkg-config", machine.finds_packages()),
    ]
    missing = [(package, what) for package, what, there in needed if not there]
    if missing:
        raise SystemExit(
            f"libsgt: these are missing to build it: {', '.join(what for _, what in missing)}.\n"
            f"On Debian and Ubuntu: apt-get install {' '.join(package for package, _ in missing)}"
        )
    if "-Dchecksums=disabled" not in given and not machine.header("xxhash.h"):
        say("without libxxhash-dev: checkpoints will have no checksums")
    if "-Dblis=disabled" not in given and not machine.header(
        "blis-serial/blis.h", "blis/blis.h", "blis.h"
    ):
        say("without libblis-serial-dev: there will be no BLIS, only the library's own kernels")


# ---- the library ----


def meson() -> Tuple[List[str], Dict[str, str]]:
    """A meson that runs, and the environment it runs in.

    pip's isolated environment hides the packages of the system from every Python, that of the
    system's meson too; then it runs without what pip has set.
    """
    here = dict(os.environ)
    plain = {key: value for key, value in here.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    for environment in (here, plain):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            command = ["meson", "--version"]
            subprocess.run(command, env=environment, check=True, capture_output=True)
            return ["meson"], environment
    raise SystemExit("libsgt: meson does not run; install it (Debian: meson ninja-build)")


def get_requires_for_build_wheel(config_settings: Settings = None) -> List[str]:
    check_packages(config_settings)  # before anything is fetched
    needed = []
    try:
        meson()
    except SystemExit:
        needed.append("meson>=1.0")
    if not any(shutil.which(name) for name in ("ninja", "ninja-build")):
        needed.append("ninja")
    return needed


@contextlib.contextmanager
def build_folder(settings: Settings) -> Iterator[Path]:
    named = (settings or {}).get("build-dir")
    if named:
        yield Path(named).resolve()
        return
    with tempfile.TemporaryDirectory(prefix="libsgt-build-") as folder:
        yield Path(folder)


def run(command: List[str], environment: Dict[str, str]) -> None:
    say(" ".join(command))
    # What meson prints belongs to the log of pip, not to what the hook answers.
    result = subprocess.run(command, env=environment, stdout=sys.stderr)
    if result.returncode:
        failed = " ".join(command[:2])
        raise SystemExit(f"libsgt: {failed} failed with status {result.returncode}")


def configure(folder: Path, settings: Settings) -> None:
    """Has meson set the folder up for the library alone."""
    check_packages(settings)
    command, environment = meson()
    options = [
        "--buildtype=release", "-Ddefault_library=shared", "-Dtests=false", "-Dexamples=false",
        "-Dbench=false", "-Dtools=false", "-Ddocs=disabled", "-Dpython=disabled",
    ]  # fmt: skip
    if sys.platform.startswith("linux"):
        options.append("-Dc_link_args=-Wl,-rpath,$ORIGIN")
    options += arguments(settings)
    again = ["--reconfigure"] if (folder / "build.ninja").exists() else []
    run(command + ["setup", *again, str(folder), str(sources()), *options], environment)


def build_library(folder: Path, settings: Settings) -> Path:
    configure(folder, settings)
    command, environment = meson()
    run(command + ["compile", "-C", str(folder)], environment)
    found = [path for path in (folder / "lib").glob("*sgt*") if is_library(path)]
    if not found:
        raise SystemExit(f"libsgt: there is no library in {folder / 'lib'}")
    return found[0].resolve()


def is_library(path: Path) -> bool:
    """Has the name that programs look for: with the soname's number, not the whole version."""
    number = r"(0\.\d+|[1-9]\d*)"
    names = rf"libsgt\.so\.{number}|libsgt\.{number}\.dylib|sgt-{number}\.dll"
    return bool(re.fullmatch(names, path.name))


def companions(library: Path) -> List[Path]:
    """The shared libraries it needs that a system may lack."""
    if not sys.platform.startswith("linux"):
        return []
    listing = subprocess.run(["ldd", str(library)], check=True, capture_output=True, text=True)
    found = []
    for name, path in re.findall(r"^\s*(\S+) => (\S+)", listing.stdout, re.MULTILINE):
        if path == "not":
            raise SystemExit(f"libsgt: {name}, which the library needs, is not found")
        if name.split(".so")[0] not in SYSTEM_LIBRARIES:
            found.append(Path(path).with_name(name))
    return found


def stripped(path: Path, folder: Path) -> Path:
    """A copy without what only debuggers read, where ``strip`` is there."""
    copy = folder / path.name
    shutil.copyfile(path, copy)
    if shutil.which("strip"):
        subprocess.run(["strip", "--strip-unneeded", str(copy)], check=True)
    return copy


def library_files(folder: Path, settings: Settings) -> Dict[str, Path]:
    """The files of libsgt/_lib by name."""
    library = build_library(folder, settings)
    own = next(p.name for p in (folder / "lib").glob("*sgt*") if is_library(p))
    with_debug = [(own, library)] + [(path.name, path) for path in companions(library)]
    bare = folder / "stripped"
    bare.mkdir(exist_ok=True)
    return {name: stripped(path, bare) for name, path in with_debug}


# ---- archives ----


class Wheel:
    """A wheel file; equal contents give equal bytes."""

    def __init__(self, folder: str, settings: Settings) -> None:
        self._tag = tag(settings)
        self.name = info_folder().replace(".dist-info", f"-{self._tag}.whl")
        self._records: List[str] = []
        self._zip = zipfile.ZipFile(
            os.path.join(folder, self.name), "w", compression=zipfile.ZIP_DEFLATED
        )

    def add(self, name: str, data: bytes) -> None:
        entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o100644 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        self._zip.writestr(entry, data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        self._records.append(f"{name},sha256={digest},{len(data)}")

    def close(self) -> str:
        info = info_folder()
        for name, data in info_files(self._tag).items():
            self.add(f"{info}/{name}", data)
        records = "\n".join(self._records + [f"{info}/RECORD,,"]) + "\n"
        self._zip.writestr(zipfile.ZipInfo(f"{info}/RECORD", (1980, 1, 1, 0, 0, 0)), records)
        self._zip.close()
        return self.name


def package_files() -> List[Path]:
    return sorted(path for path in PACKAGE.rglob("*") if path.suffix == ".py") + [
        PACKAGE / "py.typed"
    ]


def build_wheel(
    wheel_directory: str,
    config_settings: Settings = None,
    metadata_directory: Optional[str] = None,
) -> str:
    with build_folder(config_settings) as folder:
        libraries = library_files(folder, config_settings)
        wheel = Wheel(wheel_directory, config_settings)
        for path in package_files():
            wheel.add(path.relative_to(PACKAGE.parent).as_posix(), path.read_bytes())
        for name, path in sorted(libraries.items()):
            wheel.add(f"libsgt/_lib/{name}", path.read_bytes())
        return wheel.close()


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: Settings = None
) -> str:
    """Spares pip a build that it would only make to read the metadata."""
    folder = Path(metadata_directory) / info_folder()
    folder.mkdir()
    for name, data in info_files(tag(config_settings)).items():
        (folder / name).write_bytes(data)
    return folder.name


get_requires_for_build_editable = get_requires_for_build_wheel
prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def build_editable(
    wheel_directory: str,
    config_settings: Settings = None,
    metadata_directory: Optional[str] = None,
) -> str:
    """The package stays where it is; the library is put into it."""
    with build_folder(config_settings) as folder:
        target = PACKAGE / "_lib"
        target.mkdir(exist_ok=True)
        for name, path in library_files(folder, config_settings).items():
            shutil.copyfile(path, target / name)
    wheel = Wheel(wheel_directory, config_settings)
    wheel.add("libsgt.pth", f"{PACKAGE.parent}\n".encode())
    return wheel.close()


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """The package with the sources of the library in a folder beside it."""
    table = project()
    base = f"{table['name']}-{table['version']}"
    root = sources()
    files = {path.relative_to(HERE).as_posix(): path for path in package_files()}
    for name in ("README.md", "build_backend.py", "pyproject.toml"):
        files[name] = HERE / name
    for name in LIBRARY:
        for path in [root / name] if (root / name).is_file() else sorted((root / name).rglob("*")):
            if path.is_file():
                files["libsgt/" + path.relative_to(root).as_posix()] = path
    with tarfile.open(os.path.join(sdist_directory, base + ".tar.gz"), "w:gz") as archive:
        add_bytes(archive, f"{base}/PKG-INFO", metadata().encode())
        for name, path in sorted(files.items()):
            add_bytes(archive, f"{base}/{name}", path.read_bytes(), path.stat().st_mode & 0o777)
    return base + ".tar.gz"


def add_bytes(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = mode
    archive.addfile(entry, io.BytesIO(data))
