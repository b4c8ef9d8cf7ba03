#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""results.py on logs that are made up: it counts, gives reasons, and misses what did not run."""

import contextlib
import io
import json
import os
import sys
import tempfile

sys.dont_write_bytecode = True

import results  # noqa: E402 (beside this file)


def write_build(folder, meson, pytest="", prefix="suite - sgt:"):
    """meson: tuples of name, result and output; pytest: the elements of a suite."""
    logs = os.path.join(folder, "meson-logs")
    os.makedirs(logs)
    with open(os.path.join(logs, "testlog.json"), "w", encoding="ascii") as log:
        for name, result, output in meson:
            log.write(json.dumps({"name": prefix + name, "result": result,
                                  "stdout": output}) + "\n")
    with open(os.path.join(logs, "python.xml"), "w", encoding="ascii") as log:
        log.write(f"<testsuites><testsuite>{pytest}</testsuite></testsuites>")
    return folder


def run(command, *arguments):
    with contextlib.redirect_stdout(io.StringIO()) as output:
        good = getattr(results, command)(*arguments)
    return 0 if good else 1, output.getvalue().splitlines()


def check_summary(folder):
    build = write_build(
        os.path.join(folder, "all"),
        [("one", "OK", ""), ("two", "SKIP", "skipped: no valgrind\nmore"), ("three", "SKIP", ""),
         ("four", "EXPECTEDFAIL", "")],
        '<testcase classname="a" name="b"/>'
        '<testcase classname="a" name="c"><skipped message="no tqdm"/></testcase>')
    assert run("summary", build, "0", "0") == (0, [
        "skipped: two: no valgrind", "skipped: three: it does not say why", "skipped: a c: no tqdm",
        "3 passed, 0 failed, 3 skipped"])
    status, lines = run("summary", build, "0", "4")
    assert status == 1 and lines[-1] == "3 passed, 1 failed, 3 skipped", lines
    for result in ("FAIL", "TIMEOUT", "ERROR", "UNEXPECTEDPASS"):
        build = write_build(os.path.join(folder, result), [("one", result, ""), ("two", "OK", "")])
        assert run("summary", build, "1", "0") == (1, ["1 passed, 1 failed"]), result
    build = write_build(os.path.join(folder, "broken"), [("one", "OK", "")],
                        '<testcase name="a"><error message="cannot be collected"/></testcase>')
    assert run("summary", build, "0", "1") == (1, ["1 passed, 1 failed"])
    assert run("summary", os.path.join(folder, "missing"), "0", "0") == (1, ["0 passed, 0 failed"])


def check_promises(folder):
    """All that is promised, in two builds; then one after the other is taken away."""
    names = [name for group in results.PROMISES.values() for name in group]
    first = [(name, "OK", "") for name in names]
    other = write_build(os.path.join(folder, "other"), [(name, "SKIP", "why") for name in names])
    for i, prefix in enumerate(("suite - sgt:", "suite+another - sgt:", "sgt:suite / ")):
        whole = write_build(os.path.join(folder, f"whole-{i}"), first, prefix=prefix)
        assert run("promises", whole, other)[0] == 0
    status, lines = run("promises", other)
    assert status == 1 and len(lines) == 2 * len(names), lines
    for i, name in enumerate(names):
        build = write_build(os.path.join(folder, f"without-{i}"), first[:i] + first[i + 1:])
        status, lines = run("promises", build)
        assert status == 1 and lines[0].startswith(f"{name} did not run"), (name, lines)


def check_skips(folder):
    """Only what is on the list may be skipped, and only for its reason."""
    all_run = [(name, "OK", "") for group in results.PROMISES.values() for name in group]
    for i, (name, reason, right) in enumerate([
            ("huggingface interop", "skipped: No module named 'torch'", 0),
            ("huggingface interop", "skipped: No module named 'json'", 1),
            ("session blis avx512", "skipped: this processor has no avx512", 0),
            ("session blis avx512", "skipped: no memory", 1),
            ("anything else", "skipped: this processor has no avx512", 1)]):
        build = write_build(os.path.join(folder, f"skip-{i}"), all_run + [(name, "SKIP", reason)])
        status, lines = run("promises", build)
        assert status == right, (name, reason, lines)
        assert not right or lines == [f"{name} was skipped: {reason.removeprefix('skipped: ')}"]


with tempfile.TemporaryDirectory() as work:
    check_summary(work)
    check_promises(work)
    check_skips(work)
print("results: all checks passed")
