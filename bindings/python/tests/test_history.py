# SPDX-License-Identifier: BSD-3-Clause
"""A History holds what a log says, also when it was cut off or resumed, and refuses what is none."""
from __future__ import annotations

import json
import math
from pathlib import Path

import made_log
import numpy as np
import pytest

import libsgt as sgt


def test_reads_what_was_written(tmp_path: Path) -> None:
    history = sgt.History(made_log.records())
    path = tmp_path / "log"
    history.write(path)
    again = sgt.History.read(path)
    assert again.records == history.records == made_log.records()
    assert again.run["layers"] == made_log.LAYERS and again.end["bits_per_byte"] == 2.4
    assert again.last_step == made_log.STEPS


def test_series_are_arrays_and_null_is_nan() -> None:
    lines = made_log.records()
    skipped = next(line for line in lines if line.get("step") == 5 and line["type"] == "step")
    skipped["loss"] = None
    history = sgt.History(lines)
    steps, loss = history.series("loss")
    assert steps.dtype == np.int64 and loss.dtype == np.float64
    assert steps.tolist() == list(range(1, made_log.STEPS + 1))
    assert math.isnan(loss[4]) and np.isfinite(np.delete(loss, 4)).all()
    assert history.series("bits_per_byte", "eval")[0].tolist() == [20, 40, 60]
    assert len(history.series("never_logged")[0]) == 0


def test_entropies_have_nan_where_nothing_ran() -> None:
    history = sgt.History(made_log.records())
    steps, values = history.entropies()
    assert values.shape == (made_log.STEPS, made_log.LAYERS, 2, made_log.HEADS)
    assert len(steps) == made_log.STEPS
    for i, step in enumerate(steps):
        for layer in range(made_log.LAYERS):
            for head in range(made_log.HEADS):
                assert values[i, layer, 0, head] == made_log.entropy_at(step, layer, 0, head)
                looped = head in made_log.kept_at(step).get(layer, ())
                assert np.isnan(values[i, layer, 1, head]) != looped
    assert history.entropies("mean")[1].shape[0] == 0


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    history = sgt.History([{"type": "step", "step": 1, "loss": math.nan, "more": [math.inf, 1.5]}])
    history.append({"type": "step", "step": 2, "loss": np.float32(0.5), "more": np.array([1, 2])})
    history.write(tmp_path / "log")
    first, second = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert first == {"type": "step", "step": 1, "loss": None, "more": [None, 1.5]}
    assert second == {"type": "step", "step": 2, "loss": 0.5, "more": [1, 2]}


@pytest.mark.parametrize("cut", [2, 10, 40])
def test_a_line_that_is_still_written_is_left_out(tmp_path: Path, cut: int) -> None:
    path = made_log.write(tmp_path / "log", made_log.records())
    path.write_bytes(path.read_bytes()[:-cut])
    assert sgt.History.read(path).records == made_log.records()[:-1]
    path.write_text('{"type": "run", "whole": true}')
    assert sgt.History.read(path).run["whole"]


@pytest.mark.parametrize("line, reason", [
    ("{", "Expecting"),
    ("[1]", "object"),
    ('{"kind": 1}', "type"),
    ('{"type": "step"}', '"step" has no step'),
    ('{"type": "step", "step": -1}', "-1"),
    ('{"type": "step", "step": "x"}', "'x'"),
    ('{"type": "depth", "step": 1, "depths": [0], "runs": [0, 0], "heads": [[]]}', "depths"),
    ('{"type": "entropy", "step": 1}', "values"),
])
def test_a_broken_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "log"
    path.write_text('{"type": "run"}\n' + line + '\n{"type": "end"}\n')
    with pytest.raises(ValueError, match=r"log: line 2: ") as caught:
        sgt.History.read(path)
    assert reason in str(caught.value)


def test_records_of_later_versions_are_kept(tmp_path: Path) -> None:
    path = made_log.write(tmp_path / "log", [{"type": "weather", "rain": True}])
    assert sgt.History.read(path).of_type("weather") == [{"type": "weather", "rain": True}]


def test_steps_that_were_done_again_count_once() -> None:
    lines = made_log.records()[:-1]
    resumed_after = 15
    again = [{**line, "loss": 9.0} if line["type"] == "step" else line
             for line in made_log.records() if line.get("step", 0) > resumed_after]
    start = [made_log.records()[0], made_log.depth_from(resumed_after)]
    history = sgt.History(lines + start + again)
    steps, loss = history.series("loss")
    assert steps.tolist() == list(range(1, made_log.STEPS + 1))
    assert (loss[resumed_after:] == 9.0).all() and (loss[:resumed_after] < 9.0).all()
    assert [event["step"] for event in history.of_type("growth")] == [10, 20, 30]
    assert len(history.entropies()[0]) == made_log.STEPS
