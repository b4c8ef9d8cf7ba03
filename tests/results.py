#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of a build gave: the logs of meson and of pytest, read once for both.

usage: results.py summary BUILD MESON-STATUS PYTEST-STATUS
       results.py promises BUILD...

summary prints each skip with its reason, and last "N passed, N failed, N skipped". Its status is 0
when some passed and none failed.

promises looks at the builds together. It fails when a test was skipped in each of them, unless
MAY_SKIP has it, and when one that doc/reliability.md promises did not run in any of them.
"""

import collections
import fnmatch
import json
import os
import re
import sys
import xml.etree.ElementTree as xml

Result = collections.namedtuple("Result", "name outcome reason")

# Tests that may be skipped, and a word of the reason for which they may.
MAY_SKIP = (
    ("huggingface interop", "torch"),
    ("huggingface interop", "safetensors"),
    ("huggingface interop", "transformers"),
    ("* avx2", "this processor has no avx2"),
    ("* avx512", "this processor has no avx512"),
    ("*test_loader*test_none_at_all", "this system has libsgt installed"),
)

# What doc/reliability.md says, and tests of it that are there only where a tool or a library is.
PROMISES = {
    "every call about files is made to fail": ("fault files", "fault exports", "io calls"),
    "every allocation of the process is made to fail": ("fault malloc", "fault allocations"),
    "nothing leaks": ("whole life valgrind",),
    "a save may be killed": ("checkpoint kill",),
    "a forked child has a working library": ("fault fork",),
    "calls may run at the same time": ("concurrency", "threads", "locks"),
    "files of anybody are read safely or refused": ("safetensors_attacks", "checkpoint refusals"),
    "each target is fuzzed": tuple(
        f"fuzz {target}" for target in ("safetensors", "config", "checkpoint", "json", "plan",
                                        "policy", "files", "api")),
    "the ABI": ("abidiff", "layout table", "struct calls", "constructors", "soname",
                "headers-c++*", "installed-*-c++", "cmake-*", "subproject-*"),
    "BLIS allocates nothing later": ("backend blis_gemm", "backend blis *"),
    "backends of others are proved good": ("out of tree openblas", "out of tree opencl"),
    "the package of Python": ("*test_interrupts*", "*test_fork*", "*test_wheel*", "*test_plot*"),
}


def reason_of(text):
    lines = [line for line in text.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith("skipped: ")]
    return (reasons or lines or ["it does not say why"])[-1].removeprefix("skipped: ")


def read_meson(build):
    """The results of meson's tests; none where there is no log."""
    outcomes = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
    try:
        with open(os.path.join(build, "meson-logs", "testlog.json"), encoding="utf-8") as log:
            records = [json.loads(line) for line in log]
    except OSError:
        return []
    # "suite - project:name", since meson 1.7 "project:suite / name".
    return [Result(re.split(" / |:", record["name"])[-1],
                   outcomes.get(record["result"], "failed"),
                   reason_of((record.get("stdout") or "") + "\n" + (record.get("stderr") or "")))
            for record in records]


def read_pytest(build):
    """The same of pytest. A module that could not be collected is one failed test."""
    try:
        cases = xml.parse(os.path.join(build, "meson-logs", "python.xml")).iter("testcase")
    except OSError:
        return []
    results = []
    for case in cases:
        name = f"{case.get('classname')} {case.get('name')}".strip()
        skip = case.find("skipped")
        broken = case.find("failure") is not None or case.find("error") is not None
        outcome = "failed" if broken else "passed" if skip is None else "skipped"
        results.append(Result(name, outcome, "" if skip is None else skip.get("message", "")))
    return results


def summary(build, meson_status, pytest_status):
    counts = collections.Counter()
    for what, status, results in (("meson test", int(meson_status), read_meson(build)),
                                  ("pytest", int(pytest_status), read_pytest(build))):
        own = collections.Counter(result.outcome for result in results)
        if status != 0 and own["failed"] == 0:
            print(f"run.sh: {what} gave status {status}")
            own["failed"] = 1
        for result in results:
            if result.outcome == "skipped":
                print(f"skipped: {result.name}: {result.reason}")
        counts += own
    line = f"{counts['passed']} passed, {counts['failed']} failed"
    print(line + (f", {counts['skipped']} skipped" if counts["skipped"] else ""))
    return counts["passed"] > 0 and counts["failed"] == 0


def may_skip(result):
    return any(fnmatch.fnmatchcase(result.name, name) and word in result.reason
               for name, word in MAY_SKIP)


def promises(*builds):
    results = [result for build in builds for result in read_meson(build) + read_pytest(build)]
    passed = {result.name for result in results if result.outcome == "passed"}
    broken = [f"{result.name} was skipped: {result.reason}" for result in results
              if result.outcome == "skipped" and result.name not in passed
              and not may_skip(result)]
    for promise, names in PROMISES.items():
        broken += [f"{name} did not run, though doc/reliability.md promises: {promise}"
                   for name in names if not fnmatch.filter(passed, name)]
    print("\n".join(broken or [f"{len(passed)} tests passed, and no promised one is missing"]))
    return not broken


if __name__ == "__main__":
    sys.exit(not {"summary": summary, "promises": promises}[sys.argv[1]](*sys.argv[2:]))
