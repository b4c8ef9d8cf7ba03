# SPDX-License-Identifier: BSD-3-Clause
"""python -m libsgt report LOG [-o PICTURE]: draws the log of a training.

Exit status: 0 done, 1 it could not be drawn or written, 2 the command line or the log is not usable.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Sequence

from . import plot
from .history import History


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m libsgt", description="Tools of libsgt.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    report = commands.add_parser(
        "report", help="draw the log of a training",
        description="Draws training curve, attention entropies, depth and its cost from a log.")
    report.add_argument("log", metavar="LOG", type=Path,
                        help="JSON lines of train_text --log or sgt.train(log=...)")
    report.add_argument("-o", "--output", metavar="PICTURE", type=Path,
                        help="a .png, .svg or .pdf file (default: LOG with .png)")
    report.add_argument("--title", help="above the panels (default: what the log says of the run)")
    report.add_argument("--dpi", type=float, default=130, help="pixels per inch (%(default)g)")
    return parser


def _report(log: Path, output: Path, title: str | None, dpi: float) -> int:
    try:
        history = History.read(log)
    except (OSError, ValueError) as error:
        return _complain(error, 2)
    if not history.of_type("step"):
        return _complain(f"{log}: has no steps", 2)
    try:
        plot.report(history, output, title=title, dpi=dpi)
    except (ImportError, OSError, ValueError) as error:
        return _complain(error, 1)
    print(output)
    return 0


def _complain(what: object, status: int) -> int:
    print(f"python -m libsgt: {what}", file=sys.stderr)
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; gives its exit status."""
    given = _parser().parse_args(arguments)
    output = given.output or given.log.with_suffix(".png")
    return _report(given.log, output, given.title, given.dpi)


if __name__ == "__main__":
    sys.exit(main())
