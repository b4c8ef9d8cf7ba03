# SPDX-License-Identifier: BSD-3-Clause
"""Breaks the library in one place at a time, and sees whether a test notices.

    mutate.py check SOURCE [BUILD]        every text of the lists is there, and once; so is every test
    mutate.py run SOURCE WORK [WORDS...]  all of them, or those whose file or words have one of WORDS

The lists are the files *.mutations beside this program:

    @ FILE : TESTS       what follows is about FILE and these tests, with commas between them: names
                         of meson with * for anything; thread/NAME is run under ThreadSanitizer
    = WORDS              a mutation, and what it breaks
    -text                is taken out: as it stands, as many lines as there are, found exactly once
    +text                takes its place
    ~ REASON             why no test can see it; not counted as surviving

SGT_MUTATE_JOBS: how many compilers and tests run at one time; default: the processors.
"""
import fnmatch
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

OPTIONS = ("-Dfuzz=disabled", "-Dexamples=false", "-Dpython=disabled", "-Ddocs=disabled")
SETUPS = {  # options of meson, environment of the tests
    "plain": ((), {}),
    "thread": (("-Dbuildtype=debugoptimized", "-Db_sanitize=thread", "-Db_lundef=false"),
               {"CK_FORK": "no", "CK_DEFAULT_TIMEOUT": "0", "SGT_TEST_THREADS": "3",
                "TSAN_OPTIONS": "halt_on_error=1:exitcode=9"}),
}
LEAST_KILLED = 0.97


class ListError(Exception):
    """Something in a list that cannot be."""


@dataclass
class Mutation:
    file: str
    tests: tuple
    words: str
    place: str  # in the list
    old: str = ""
    new: str = ""
    reason: str = ""

    def apply(self, text):
        found = text.count(self.old) if self.old else 0
        if found != 1:
            raise ListError(f"{self.place}: found {found} times in {self.file}: {self.old}")
        return text.replace(self.old, self.new)


# ---- lists ----


def read_list(path):
    mutations, file, tests, old, new = [], None, (), [], []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        kind, rest = line[:1], line[1:]
        if kind == "@":
            file, _, names = rest.partition(":")
            file, tests = file.strip(), tuple(name.strip() for name in names.split(","))
        elif kind == "=":
            old, new = [], []
            mutations.append(Mutation(file, tests, rest.strip(), f"{path.name}:{number}"))
        elif kind in ("-", "+"):
            (old if kind == "-" else new).append(rest)
            mutations[-1].old, mutations[-1].new = "\n".join(old), "\n".join(new)
        elif kind == "~":
            mutations[-1].reason = rest.strip()
        elif kind not in ("", "#"):
            raise ListError(f"{path.name}:{number}: {line}")
    return mutations


def read_lists():
    folder = pathlib.Path(__file__).resolve().parent
    return [m for path in sorted(folder.glob("*.mutations")) for m in read_list(path)]


class Tests:
    """The tests of a build and the files that they need."""

    def __init__(self, build):
        info = pathlib.Path(build, "meson-info")
        targets = json.loads((info / "intro-targets.json").read_text())
        self.files = {t["id"]: t["filename"] for t in targets}
        self.tests = json.loads((info / "intro-tests.json").read_text())

    def find(self, pattern):
        return [t for t in self.tests if fnmatch.fnmatchcase(t["name"], pattern)]


def check(source, build=None):
    known, faults = Tests(build) if build else None, []
    mutations = read_lists()
    for m in mutations:
        try:
            m.apply(pathlib.Path(source, m.file).read_text())
        except (ListError, OSError) as fault:
            faults.append(str(fault))
        faults += [f"{m.place}: there is no test {name}" for name in m.tests
                   if known and not known.find(name.removeprefix("thread/"))]
    print("\n".join(faults + [f"{len(mutations)} mutations, {len(faults)} of them not possible"]))
    return 1 if faults or not mutations else 0


# ---- runs ----


class Trial:
    """A copy of the tree with its builds."""

    def __init__(self, source, work):
        self.work, self.tree = pathlib.Path(work), pathlib.Path(work, "tree")
        self.jobs = os.environ.get("SGT_MUTATE_JOBS") or str(os.cpu_count())
        self.builds = {}
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree.mkdir(parents=True)
        for place in pathlib.Path(source).iterdir():
            copy = shutil.copytree if place.is_dir() else shutil.copy2
            if not place.name.startswith((".", "build")):
                copy(place, self.tree / place.name)

    def log(self, command, env=None):
        with open(self.work / "log", "w", encoding="utf-8") as log:
            return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False,
                                  env=os.environ | (env or {})).returncode

    def setup(self, kind):
        if kind not in self.builds:
            build = self.work / kind
            shutil.rmtree(build, ignore_errors=True)
            if self.log(["meson", "setup", build, self.tree, *OPTIONS, *SETUPS[kind][0]]):
                raise ListError((self.work / "log").read_text())
            self.builds[kind] = Tests(build)
        return self.builds[kind]

    def run(self, kind, patterns):
        """A verdict for some tests of a build: "survived", "killed", "does not build"."""
        known, build = self.setup(kind), self.work / kind
        tests = {t["name"]: t for pattern in patterns for t in known.find(pattern)}
        files = {os.path.relpath(file, build) for t in tests.values() for target in t["depends"]
                 for file in known.files[target]}
        if self.log(["ninja", "-C", build, "-j", self.jobs, *sorted(files)]):
            return "does not build"
        command = ["meson", "test", "-C", build, "--no-rebuild", "--maxfail", "1",
                   "--num-processes", self.jobs]
        return "killed" if self.log(command + list(tests), SETUPS[kind][1]) else "survived"

    def verdict(self, tests):
        for kind in SETUPS:
            mine = [name for name in tests if name.startswith(kind + "/")] if kind != "plain" \
                else [name for name in tests if "/" not in name]
            if mine:
                said = self.run(kind, [name.removeprefix(kind + "/") for name in mine])
                if said != "survived":
                    return said
        return "survived"

    def try_mutation(self, m):
        place = self.tree / m.file
        text = place.read_text()
        place.write_text(m.apply(text))
        try:
            return self.verdict(m.tests)
        finally:
            place.write_text(text)


def run(source, work, words):
    mutations = [m for m in read_lists()
                 if not words or any(w in m.file + " " + m.words for w in words)]
    trial = Trial(source, work)
    quiet = trial.verdict(sorted({name for m in mutations for name in m.tests}))
    if quiet != "survived":
        print((trial.work / "log").read_text())
        raise ListError("without any mutation the tests do not pass")
    counts = dict.fromkeys(("killed", "survived", "does not build", "cannot be seen"), 0)
    for m in mutations:
        begun = time.monotonic()
        said = trial.try_mutation(m)
        if said == "survived" and m.reason:
            said = "cannot be seen"
        counts[said] += 1
        print(f"{said:14} {time.monotonic() - begun:4.0f} s  {m.file}: {m.words}", flush=True)
    share = counts["killed"] / max(1, len(mutations))
    print(f"{len(mutations)} mutations: " + ", ".join(f"{n} {said}" for said, n in counts.items())
          + f"; {100 * share:.1f} % killed")
    bad = counts["survived"] + counts["does not build"]
    return 1 if bad or share < LEAST_KILLED else 0


def main(arguments):
    if len(arguments) in (2, 3) and arguments[0] == "check":
        return check(*arguments[1:])
    if len(arguments) >= 3 and arguments[0] == "run":
        return run(arguments[1], arguments[2], arguments[3:])
    print(__doc__)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ListError as error:
        sys.exit(str(error))
