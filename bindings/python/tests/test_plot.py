# SPDX-License-Identifier: BSD-3-Clause
"""The pictures show the numbers of the log, can be read, and leave matplotlib as it was."""
from __future__ import annotations

import math
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_log
import numpy as np
import pytest

pytest.importorskip("matplotlib")

import matplotlib  # noqa: E402
from matplotlib.collections import QuadMesh  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402
from matplotlib.text import Annotation  # noqa: E402

import libsgt as sgt  # noqa: E402

LN2 = math.log(2)
SETTINGS = dict(matplotlib.rcParams)  # before anything was drawn


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def line(axes: Any, label: str) -> Any:
    return next(line for line in axes.lines if str(line.get_label()).startswith(label))


# -- each panel against the log --

def test_training_curve_shows_losses_in_bits_per_byte() -> None:
    axes = sgt.plot.training_curve(sgt.History(made_log.records()))
    steps, loss = line(axes, "each step").get_data()
    assert steps.tolist() == list(range(1, made_log.STEPS + 1))
    expected = [made_log.loss_at(step) / LN2 for step in steps]
    np.testing.assert_allclose(loss, expected)
    assert axes.get_ylabel() == "bits per byte"
    held_out = line(axes, "held-out").get_data()
    assert held_out[0].tolist() == [20, 40, 60, 60]
    np.testing.assert_allclose(held_out[1], [3.5 - 20 / 60, 3.5 - 40 / 60, 2.5, 2.4])
    assert "layer 3 loops" in texts(axes) and "growth is over" in texts(axes)
    marks = sorted(x.get_xdata()[0] for x in axes.lines if str(x.get_label()).startswith("_"))
    assert marks == [10, 20, 30]


def test_losses_of_tokens_stay_in_nats() -> None:
    lines = [record for record in made_log.records(token="token")
             if record["type"] not in ("eval", "end")]
    lines.append({"type": "eval", "step": 60, "loss": 2.5})
    axes = sgt.plot.training_curve(sgt.History(lines))
    assert axes.get_ylabel() == "loss, nats per token"
    assert line(axes, "each step").get_ydata()[0] == made_log.loss_at(1)
    assert line(axes, "held-out").get_ydata().tolist() == [2.5]


def test_the_smooth_curve_is_a_centred_mean() -> None:
    lines: list[made_log.Record] = [{"type": "step", "step": step, "loss": float(step)}
                                    for step in range(1, 1001)]
    lines[499]["loss"] = 2500.0
    lines[499 + 3]["loss"] = None
    smooth = line(sgt.plot.training_curve(sgt.History(lines)), "smoothed").get_ydata()
    assert (smooth[0], smooth[-1]) == (1.0, 1000.0)  # nothing beyond the ends is made up
    np.testing.assert_allclose(smooth[100:400], np.arange(101, 401))
    inside = [step for step in range(490, 511) if step not in (500, 503)]
    assert smooth[499] == pytest.approx((sum(inside) + 2500) / 20)


def test_the_first_fall_does_not_flatten_the_rest() -> None:
    lines = [{"type": "step", "step": step, "loss": 2 + 8 * math.exp(-step / 5)}
             for step in range(1, 1001)]
    axes = sgt.plot.training_curve(sgt.History(lines))
    low, high = axes.get_ylim()
    assert high < 3 and low < 2
    assert line(axes, "each step").get_label() == f"each step, from {lines[0]['loss']:.2f}"


def test_entropy_map_shows_what_the_policy_sees() -> None:
    axes = sgt.plot.entropy_map(sgt.History(made_log.records()))
    mesh = next(item for item in axes.collections if isinstance(item, QuadMesh))
    shown = np.asarray(mesh.get_array()).reshape(made_log.LAYERS * made_log.HEADS, made_log.STEPS)
    for layer in range(made_log.LAYERS):
        for head in range(made_log.HEADS):
            for step in range(1, made_log.STEPS + 1):
                looped = head in made_log.kept_at(step).get(layer, ())
                assert shown[layer * made_log.HEADS + head, step - 1] == made_log.entropy_at(
                    step, layer, int(looped), head), (layer, head, step)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [
        f"layer {i}" for i in range(made_log.LAYERS)]


def test_entropy_map_outlines_the_heads_that_loop() -> None:
    axes = sgt.plot.entropy_map(sgt.History(made_log.records()))
    boxes = {(round(box.get_y() - 0.06), box.get_x(), box.get_x() + box.get_width())
             for box in axes.patches if isinstance(box, Rectangle)}
    assert boxes == {(layer * made_log.HEADS + head, step, made_log.STEPS)
                     for step, layer, heads in made_log.SELECTED for head in heads}
    pointed = {round(mark.get_ydata()[0] - 0.5) for mark in axes.lines if mark.get_marker() == "<"}
    assert pointed == {row for row, _, _ in boxes}


def test_entropy_map_says_when_collecting_ended() -> None:
    lines = [line for line in made_log.records() if line["type"] != "entropy" or line["step"] <= 30]
    assert any("not collected" in text for text in texts(sgt.plot.entropy_map(sgt.History(lines))))


def test_depth_is_a_staircase() -> None:
    axes = sgt.plot.depth(sgt.History(made_log.records()))
    stairs = [list(zip(*(values.tolist() for values in item.get_data()))) for item in axes.lines]
    assert stairs == [[(10, 1.0), (20, 1.0), (60, 1.0)], [(20, 2.0), (60, 2.0)]]
    assert texts(axes) == ["layer 3, heads 2, 0", "layer 2, head 1"]


def test_depth_counts_whole_blocks() -> None:
    lines = [made_log.records()[0],
             {"type": "depth", "step": 0, "depths": [0, 1, 0, 1], "runs": [0, 0, 2, 1],
              "heads": [[], [0, 1, 2], [], [0]]},
             {"type": "step", "step": 1, "loss": 1.0}, {"type": "step", "step": 2, "loss": 1.0}]
    axes = sgt.plot.depth(sgt.History(lines))
    assert [item.get_ydata()[-1] for item in axes.lines] == [3.0, 5.0, 6.0]
    assert texts(axes) == ["layer 3, whole block", "layer 2, whole block",
                           "layer 1, heads 0, 1, 2"]


def test_overhead_is_in_percent() -> None:
    axes = sgt.plot.overhead(sgt.History(made_log.records()))
    now, total = line(axes, "now"), line(axes, "run so far")
    assert now.get_ydata()[[0, 10, 59]].tolist() == [0.0, 5.0, 10.0]
    assert total.get_ydata()[-1] == pytest.approx((10 * 5 + 40 * 10) / 60)
    assert now.get_label() == "now +10.00 %"


# -- whatever the log has --

@pytest.mark.parametrize("lines", [
    [{"type": "step", "step": 1, "loss": 2.0}],
    [{"type": "step", "step": 1, "loss": None}, {"type": "step", "step": 2, "loss": None}],
    made_log.records(entropies=False)[:-1],
    [{"type": "entropy", "step": 3, "kind": "last", "values": [[[0.5]]]}],
    [{"type": "entropy", "step": 3, "kind": "last", "values": [[[None]]]}],
    [{"type": "growth", "step": 2, "action": "select", "layer": 1, "depth": 1, "heads": [0]}],
], ids=["one step", "no loss", "no entropies", "one entropy", "none ran", "event"])
def test_little_is_drawn_too(lines: list[made_log.Record], tmp_path: Path,
                             recwarn: pytest.WarningsRecorder) -> None:
    sgt.plot.report(sgt.History(lines), tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 1000
    assert not [str(warning.message) for warning in recwarn]


@pytest.mark.parametrize("lines", [[], [{"type": "run"}], [made_log.records()[0]]])
def test_a_history_without_steps_is_no_picture(lines: list[made_log.Record]) -> None:
    with pytest.raises(ValueError, match="the history has no steps"):
        sgt.plot.report(sgt.History(lines))


@pytest.mark.parametrize("source", [None, 3, sgt.Model, [{"type": "run"}]])
def test_what_is_no_source(source: Any) -> None:
    for draw in (sgt.plot.report, sgt.plot.training_curve, sgt.plot.depth):
        with pytest.raises(TypeError, match="a History or the path of a log"):
            draw(source)


def of_kind(*kinds: str) -> sgt.History:
    return sgt.History(
        {**record, "kind": kind} for record in made_log.records()
        for kind in (kinds if record["type"] == "entropy" else kinds[:1]))


def test_the_kind_of_entropy_that_is_there_is_drawn() -> None:
    drawn = [sgt.plot.report(of_kind(*kinds)).axes[1] for kinds in (("last",), ("mean",))]
    last, mean = (next(c for c in axes.collections if isinstance(c, QuadMesh)) for axes in drawn)
    assert (last.get_array() == mean.get_array()).all()
    axes = sgt.plot.report(of_kind("last", "mean"), kind="mean").axes[1]
    assert any(isinstance(c, QuadMesh) for c in axes.collections)


def test_a_kind_that_is_not_there() -> None:
    axes = sgt.plot.entropy_map(of_kind("mean"), kind="last")
    assert texts(axes) == ["'last' was not collected; 'mean' was: kind='mean'"]
    axes = sgt.plot.entropy_map(sgt.History(made_log.records(entropies=False)), kind="mean")
    assert texts(axes) == ["entropies were not collected"]


def test_a_pattern_is_a_picture() -> None:
    axes = sgt.plot.pattern("block+summary:4:1", 12)
    cells = next(mesh for mesh in axes.collections if isinstance(mesh, QuadMesh)).get_array()
    seen = sgt.AttentionPattern.parse("block+summary:4:1").visible(12)
    shown = np.ma.filled(np.ma.asarray(cells), 0).reshape(12, 12)
    assert (shown == seen).all()
    assert axes.get_title(loc="left").startswith("block+summary:4:1: ")


def test_plot_is_there_at_once() -> None:
    code = ("import sys, libsgt\n"
            "assert 'libsgt.plot' not in sys.modules\n"
            "libsgt.plot.report")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_long_runs_are_thinned_to_their_extremes() -> None:
    lines = [{"type": "step", "step": step, "loss": 2.0} for step in range(1, 50001)]
    lines[31234]["loss"], lines[44444]["loss"] = 7.0, 1.0
    axes = sgt.plot.training_curve(sgt.History(lines))
    steps, loss = line(axes, "each step").get_data()
    assert len(steps) < 10000 and (np.diff(steps) > 0).all()
    assert loss[list(steps).index(31235)] == 7.0 and loss[list(steps).index(44445)] == 1.0


def test_many_records_of_entropies_are_averaged() -> None:
    lines = [{"type": "entropy", "step": step, "kind": "last", "values": [[[step % 2, None]]]}
             for step in range(1, 5001)]
    axes = sgt.plot.entropy_map(sgt.History(lines))
    mesh = next(item for item in axes.collections if isinstance(item, QuadMesh))
    shown = np.ma.filled(np.ma.asarray(mesh.get_array()).astype(float), np.nan).reshape(2, -1)
    assert shown.shape[1] <= 120 and np.isnan(shown[1]).all()
    assert 0.4 < shown[0].min() and shown[0].max() < 0.6 and shown[0].mean() == pytest.approx(0.5)


# -- readable --

def test_nothing_covers_anything(tmp_path: Path) -> None:
    figure = sgt.plot.report(sgt.History(made_log.records()), tmp_path / "report.png")
    renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else None
    whole = figure.bbox
    for axes in figure.axes:
        frame = axes.get_window_extent(renderer)
        legend = axes.get_legend()
        if legend:
            assert legend.get_window_extent(renderer).y0 >= frame.y1 - 2, axes.get_title(loc="left")
        boxes = [text.get_window_extent(renderer) for text in axes.texts
                 if isinstance(text, Annotation) and text.get_text()]
        boxes.append(axes._left_title.get_window_extent(renderer))
        if legend:
            boxes.append(legend.get_window_extent(renderer))
        for i, box in enumerate(boxes):
            assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and box.y1 <= whole.y1
            assert not any(box.overlaps(other) for other in boxes[:i]), texts(axes)


def test_report_has_the_size_that_was_asked(tmp_path: Path) -> None:
    path = tmp_path / "report.png"
    sgt.plot.report(sgt.History(made_log.records()), path, size=(10, 6), dpi=50, title="A title")
    assert struct.unpack(">II", path.read_bytes()[16:24]) == (500, 300)


@pytest.mark.parametrize("suffix", ["svg", "pdf"])
def test_other_formats(tmp_path: Path, suffix: str) -> None:
    log = made_log.write(tmp_path / "log", made_log.records())
    sgt.plot.report(log, tmp_path / f"report.{suffix}")
    assert (tmp_path / f"report.{suffix}").stat().st_size > 1000


def test_settings_of_matplotlib_stay(tmp_path: Path) -> None:
    sgt.plot.report(sgt.History(made_log.records()), tmp_path / "report.png")
    assert dict(matplotlib.rcParams) == SETTINGS


def test_needs_no_display_and_no_pyplot(tmp_path: Path) -> None:
    log = made_log.write(tmp_path / "log", made_log.records())
    script = ("import sys, libsgt.plot\n"
              "assert 'matplotlib' not in sys.modules\n"
              f"libsgt.plot.report({str(log)!r}, {str(tmp_path / 'report.png')!r})\n"
              "assert 'matplotlib.pyplot' not in sys.modules")
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                            env=environment(MPLBACKEND="TkAgg", DISPLAY=None))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "report.png").exists()


def environment(**changes: str | None) -> dict[str, str]:
    import os

    found = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for name, value in changes.items():
        found.pop(name, None)
        if value is not None:
            found[name] = value
    return found
