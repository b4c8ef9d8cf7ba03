# SPDX-License-Identifier: BSD-3-Clause
"""sgt.train: what it yields and records, its batches, Ctrl-C; History; windows."""
from __future__ import annotations

import io
import json
import math
import sys
import warnings

import numpy as np
import pytest
from conftest import HEADS, LAYERS, SEQ, VOCABULARY, make_batch, run_python, small_config

import libsgt as sgt


def text(length=2000, seed=0):
    return np.random.default_rng(seed).integers(0, VOCABULARY, length).astype(np.uint16)


def rows(seed=0, batch=2):
    return np.random.default_rng(seed).integers(0, VOCABULARY, (batch, SEQ + 1), np.int32)


def test_it_is_the_loop_by_hand(context):
    batches = [make_batch(seed) for seed in range(5)]
    model = sgt.Model(small_config(), context)
    optimizer = sgt.Optimizer(model, lr=1e-2)
    growth = sgt.Growth(model, sgt.SparseGrowth(first_step=2, window=2))
    by_hand = []
    for one in batches:
        loss = model.forward(*one)
        model.backward()
        report = optimizer.step()
        by_hand.append((float(loss), report, growth.step()))
    other = sgt.Model(small_config(), context)
    metrics = list(
        sgt.train(
            other,
            batches,
            optimizer=sgt.Optimizer(other, lr=1e-2),
            policy=sgt.SparseGrowth(first_step=2, window=2),
        )
    )
    assert [
        (m.loss, (m.step, m.lr, m.grad_norm, m.clip_scale, m.skipped), m.event) for m in metrics
    ] == by_hand
    assert metrics[-1].depths == model.plan.depths and sum(metrics[-1].depths) > 0
    assert metrics[-1].count == 2 * SEQ and metrics[-1].seconds > 0
    assert metrics[-1].overhead == other.flops_total.overhead > 0
    for name in model.names:
        assert (model.parameter(name) == other.parameter(name)).all()
    sgt.Growth(other, sgt.NoGrowth())  # the policy was only there for the run


def test_micro_batches(context):
    """So many small batches give the step that one large batch gives, whatever they ignore."""
    tokens, targets = make_batch(batch=4)
    targets[0, :9] = -1
    found = []
    for batches, micro in (([(tokens, targets)], 1), (list(zip(tokens, targets)), 4)):
        model = sgt.Model(small_config(), context)
        (metrics,) = sgt.train(model, batches, micro_batches=micro, steps=9)
        found.append((metrics.loss, metrics.grad_norm, metrics.count))
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0][2] == 4 * SEQ - 9


@pytest.mark.parametrize("kind", ["int32", "uint16", "int64", "pairs", "lists of pairs"])
def test_kinds_of_batches(model, kind):
    one = rows()
    pair = (one[:, :-1], one[:, 1:])
    batches = {"pairs": [pair], "lists of pairs": [list(pair)]}.get(kind)
    expected = model.evaluate(*pair)
    (metrics,) = sgt.train(model, batches or [one.astype(kind)])
    assert metrics.loss == pytest.approx(float(expected))


def test_a_memory_map_is_read_in_windows(model, tmp_path):
    path = tmp_path / "tokens.bin"
    text().tofile(path)
    data = np.memmap(path, dtype=np.uint16, mode="r")
    windows = sgt.random_windows(data, 2, SEQ)
    assert np.shares_memory(windows._row, data)
    metrics = list(sgt.train(model, windows, steps=3))
    assert [m.step for m in metrics] == [1, 2, 3] and windows.position == 3


def test_random_windows():
    data = np.arange(100, dtype=np.uint16)
    first = sgt.random_windows(data, 3, 7, seed=5)
    batches = [next(first) for _ in range(20)]
    assert all(one.shape == (3, 8) and one.dtype == np.int32 for one in batches)
    assert all((np.diff(one, axis=1) == 1).all() for one in batches)
    starts = {int(one[i, 0]) for one in batches for i in range(3)}
    assert len(starts) > 20 and min(starts) >= 0 and max(starts) <= 92
    again = sgt.random_windows(data, 3, 7, seed=5, start=12)
    assert (next(again) == batches[12]).all()
    other = sgt.random_windows(data, 3, 7, seed=6)
    assert (next(other) != batches[0]).any()
    edge = sgt.random_windows(data[:8], 4, 7)
    assert (next(edge) == data[:8]).all()


def test_windows():
    data = np.arange(24)
    found = list(sgt.windows(data, 2, 5))
    assert [one[:, 0].tolist() for one in found] == [[0, 5], [10, 15]]
    assert found[0][0].tolist() == [0, 1, 2, 3, 4, 5]
    assert [one.shape for one in sgt.windows(data[:16], 2, 5)] == [(2, 6), (1, 6)]


@pytest.mark.parametrize(
    "data, options, error",
    [
        (np.zeros(10), {}, TypeError),
        (np.zeros((2, 9), int), {}, ValueError),
        (np.zeros(7, int), {}, ValueError),
        (np.zeros(10, int), {"batch": 0}, ValueError),
        (np.zeros(10, int), {"seq": 0}, ValueError),
    ],
)
def test_wrong_windows(data, options, error):
    options = {"batch": 2, "seq": 7, **options}
    with pytest.raises(error):
        sgt.random_windows(data, **options)
    with pytest.raises(error):
        sgt.windows(data, **options)
    with pytest.raises(ValueError):
        sgt.random_windows(np.zeros(10, int), 2, 3, seed=-1)


def test_windows_of_bytes():
    text = b"She said no, and she said it twice."
    expected = next(sgt.random_windows(np.frombuffer(text, np.uint8), 2, 8))
    for given in (text, bytearray(text), memoryview(text)):
        assert (next(sgt.random_windows(given, 2, 8)) == expected).all()
        assert (next(sgt.windows(given, 1, 8))[0] == list(text[:9])).all()
    with pytest.raises(TypeError, match=r"text.encode\(\)"):
        sgt.random_windows(text.decode(), 2, 8)


def test_wrong_arguments(model, context):
    """At the call, not at the first step."""
    other = sgt.Optimizer(sgt.Model(small_config(), context))
    growth = sgt.Growth(model, sgt.NoGrowth())
    for options, error in (
        ({"optimizer": other}, ValueError),
        ({"growth": growth, "policy": sgt.NoGrowth()}, TypeError),
        ({"optimizer": 5}, TypeError),
        ({"policy": 5}, TypeError),
        ({"growth": 5}, TypeError),
        ({"steps": -1}, ValueError),
        ({"micro_batches": 0}, ValueError),
        ({"entropies": "all"}, ValueError),
    ):
        with pytest.raises(error):
            sgt.train(model, [], **options)
    with pytest.raises(TypeError, match="model: a Model is needed, not None"):
        sgt.train(None, [])
    with pytest.raises(ValueError, match="follows"):
        list(sgt.train(model, [np.zeros((2, 1), int)]))


# ---- records ----


@pytest.fixture
def recorded(model, tmp_path):
    history, path = sgt.History(), tmp_path / "log.jsonl"
    policy = sgt.SparseGrowth(first_step=2, window=2, keep_heads=1, max_layers=1)
    metrics = list(
        sgt.train(
            model,
            sgt.random_windows(text(), 2, SEQ),
            policy=policy,
            steps=6,
            entropies="both",
            entropies_every=3,
            history=history,
            log=path,
        )
    )
    return metrics, history, path, model


def test_records(recorded):
    metrics, history, path, model = recorded
    kinds = [record["type"] for record in history.records]
    assert kinds[:3] == ["run", "depth", "step"] and kinds[-1] == "end" and kinds.count("step") == 6
    run = history.run
    assert (run["layers"], run["heads"], run["d_model"]) == (LAYERS, HEADS, 16)
    assert run["weights"] == model.n_weights and run["policy"] == "SparseGrowth"
    assert (run["growth_first"], run["growth_window"], run["steps"]) == (2, 2, 6)
    assert run["version"] == sgt.library_version() and run["threads"] == 1
    steps, losses = history.series("loss")
    assert steps.tolist() == [1, 2, 3, 4, 5, 6] and losses.tolist() == [m.loss for m in metrics]
    select, fix = history.of_type("growth")
    event = metrics[1].event
    assert select == {
        "type": "growth",
        "step": 2,
        "action": "select",
        "layer": event.layer,
        "depth": 1,
        "heads": list(event.heads),
    }
    assert fix["action"] == "fix" and fix["layers"] == [event.layer]
    start, depth, last = history.of_type("depth")
    assert start["step"] == 0 and start["depths"] == [0] * LAYERS
    assert last["heads"] == depth["heads"] and depth["step"] == 2
    assert depth["depths"][event.layer] == 1
    assert depth["heads"][event.layer] == list(event.heads) and depth["runs"] == [0, 0, 0]
    end = history.of_type("end")[0]
    assert end["steps"] == 6 and end["overhead"] == pytest.approx(model.flops_total.overhead)


def test_entropy_records(recorded):
    """Until the end, though growth is over before."""
    metrics, history, _, _ = recorded
    assert [m.entropies is not None for m in metrics] == [False, False, True] * 2
    steps, values = history.entropies("mean")
    assert steps.tolist() == [3, 6] and values.shape == (2, LAYERS, 2, HEADS)
    for i, m in enumerate((metrics[2], metrics[5])):
        expected = m.entropies["mean"]
        np.testing.assert_array_equal(values[i, :, : expected.shape[1]], expected)
    assert np.isnan(values).any() and (values[:, :, 0] > 0).all()
    assert sgt.History().entropies()[1].shape == (0, 0, 0, 0)


def test_the_log_is_the_history(recorded, tmp_path):
    _, history, path, _ = recorded
    assert sgt.History.read(path).records == history.records
    history.write(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    with open(path, "a") as file:
        file.write('{"type":"st')  # a run that was killed
    assert sgt.History.read(path).records == history.records
    with open(path, "a") as file:
        file.write("\n{}\n")
    with pytest.raises(ValueError, match="line"):
        sgt.History.read(path)


def test_a_second_run_appends(model, tmp_path):
    optimizer, history, path = sgt.Optimizer(model), sgt.History(), tmp_path / "log"
    first, second = [rows(i) for i in range(4)], [rows(9)] * 2
    run = dict(optimizer=optimizer, history=history, log=path)
    losses = [m.loss for m in sgt.train(model, first, **run)]
    sgt.Checkpoint.save(tmp_path / "four", model, optimizer=optimizer)
    losses += [m.loss for m in sgt.train(model, second, **run)]
    assert path.read_text().count('"type":"run"') == 2
    for records in (history, sgt.History.read(path)):
        steps, found = records.series("loss")
        assert steps.tolist() == [1, 2, 3, 4, 5, 6] and found.tolist() == losses
        assert len(records.of_type("end")) == 1
    with open(path, "a") as file:  # a run that was killed, and resumed before its last step
        file.write('{"type":"step","step":7,"loss":1.5' + " " * 100000)
    sgt.Checkpoint(tmp_path / "four", model.context).load(model, optimizer)
    (again,) = sgt.train(model, [rows(8)], **run)
    assert sgt.History.read(path).records == history.records
    steps, found = history.series("loss")
    assert steps.tolist() == [1, 2, 3, 4, 5] and found.tolist() == losses[:4] + [again.loss]


def test_a_new_optimizer_does_not_wipe_a_history(model):
    history, optimizer = sgt.History(), sgt.Optimizer(model)
    assert list(sgt.train(model, [], history=history)) == []  # it has no steps
    list(sgt.train(model, [rows()] * 2, history=history, optimizer=optimizer))
    records = list(history.records)
    optimizer.close()
    for other in (None, sgt.Optimizer(model)):
        with pytest.raises(ValueError, match="has 2 steps"):
            sgt.train(model, [rows()], history=history, optimizer=other)
    assert history.records == records


@pytest.mark.parametrize("options", [{"log": True}, {"log": 1}, {"history": []}])
def test_where_records_go(model, options):
    with pytest.raises(TypeError, match=next(iter(options))):
        sgt.train(model, [rows()], **options)


def test_log_to_an_open_file(model):
    file = io.StringIO()
    list(sgt.train(model, [rows()], log=file))
    kinds = [json.loads(line)["type"] for line in file.getvalue().splitlines()]
    assert kinds == ["run", "depth", "step", "end"]
    assert not file.closed


def test_numbers_that_are_not_finite_are_null(model, tmp_path):
    with model.writable_parameters() as views:
        views["model.norm.weight"][0] = math.nan
    path = tmp_path / "log"
    (metrics,) = sgt.train(model, [rows()], log=path)
    assert metrics.skipped and math.isnan(metrics.loss)
    (record,) = sgt.History.read(path).of_type("step")
    assert record["loss"] is None and record["skipped"] is True
    steps, values = sgt.History.read(path).series("loss")
    assert steps.tolist() == [1] and math.isnan(values[0])


def test_a_policy_that_says_nothing_is_seen_in_depth_records(model):
    class Silent(sgt.Policy):
        def decide(self, obs, plan):
            if obs.step == 2:
                plan.set_extra_runs(1, 1)

    history = sgt.History()
    list(sgt.train(model, [rows()] * 3, policy=Silent(), history=history))
    assert history.of_type("growth") == []
    _, record = history.of_type("depth")
    assert record["step"] == 2 and record["runs"] == [0, 1, 0]


def test_entropy_collection_is_left_as_it_was(model, batch):
    list(sgt.train(model, [rows()], entropies="last"))
    model.forward(*batch)
    with pytest.raises(sgt.StateError):
        model.entropies("last")


# ---- ends ----


def test_held_out_batches(model, tmp_path):
    """They are looked at in their turn, and the best model is the one of the lowest loss."""
    held = [rows(seed=9), rows(seed=10)]
    history, best = sgt.History(), tmp_path / "best"
    optimizer = sgt.Optimizer(model, lr=0.03)
    metrics = list(
        sgt.train(
            model, [rows()] * 9, optimizer=optimizer, policy=sgt.NoGrowth(), steps=8, held=held,
            held_every=3, best=best, history=history, progress=False,
        )
    )
    looked = {m.step: m.held for m in metrics if m.held is not None}
    assert list(looked) == [3, 6, 8] and looked[8] == float(sgt.evaluate(model, held))
    steps, losses = history.series("loss", "eval")
    assert dict(zip(steps.tolist(), losses.tolist())) == looked
    lowest = min(looked.values())
    assert lowest < looked[8]  # it learns one batch by heart
    restored = sgt.Checkpoint(best).create(sgt.NoGrowth())
    assert looked[restored.optimizer.steps] == lowest
    assert float(sgt.evaluate(restored.model, held)) == lowest
    before = best.read_bytes()
    sgt.train(model, [rows()] * 2, optimizer=optimizer, held=held, held_every=1, best=best,
              history=history, progress=False).run()
    assert best.read_bytes() == before  # the history knows of a better one
    sgt.train(model, [rows()], optimizer=optimizer, held=held, held_every=1, best=best,
              progress=False).run()
    assert best.read_bytes() != before


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(held=iter([rows()])), "only once"),
        (dict(held=[rows()], held_every=0), "held_every is 0"),
        (dict(held=[rows()], held_every=1.5), "held_every"),
        (dict(best="x"), "best needs held"),
    ],
    ids=str,
)
def test_held_out_batches_that_cannot_be(model, arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        sgt.train(model, [rows()], **arguments)


def test_run(model):
    run = sgt.train(model, [rows()] * 3)
    assert repr(run) == "<libsgt.Training not started>" and iter(run) is run
    assert next(run).step == 1 and repr(run) == "<libsgt.Training after step 1>"
    assert run.run().step == 3 and next(run, None) is None
    assert sgt.train(model, []).run() is None


def test_a_training_that_is_forgotten(model, collected):
    with pytest.warns(ResourceWarning, match=r"before its first step.*run\(\)"):
        sgt.train(model, [rows()])
        collected()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for use in (next, list, lambda run: run.run(), lambda run: run.close()):
            use(sgt.train(model, [rows()]))
            collected()
        with pytest.raises(TypeError):
            sgt.train(model, [rows()], log=3)


def test_a_loop_that_is_left(model):
    for metrics in sgt.train(model, sgt.random_windows(text(), 2, SEQ), policy=sgt.NoGrowth()):
        if metrics.step == 2:
            break
    assert metrics.step == 2
    sgt.Growth(model, sgt.NoGrowth())


def test_an_error_in_the_middle_leaves_a_whole_step(model, tmp_path):
    optimizer = sgt.Optimizer(model)
    batches = [rows(), rows(), rows(), np.full((2, SEQ + 1), VOCABULARY)]
    run = sgt.train(model, batches, optimizer=optimizer, micro_batches=2)
    next(run)
    weights = model.read_parameter(model.names[0])
    with pytest.raises(sgt.OutOfRangeError):
        next(run)
    assert optimizer.steps == 1 and (model.read_parameter(model.names[0]) == weights).all()
    sgt.Checkpoint.save(tmp_path / "x", model, optimizer=optimizer)  # no step is under way
    assert next(sgt.train(model, [rows()], optimizer=optimizer)).step == 2


def test_a_step_whose_policy_fails_is_recorded(model, tmp_path):
    class Fails(sgt.Policy):
        def decide(self, obs, plan):
            plan.set_depth(1, 1)
            if obs.step == 2:
                raise LookupError("decide")

    optimizer, history, path = sgt.Optimizer(model), sgt.History(), tmp_path / "log"
    growth = sgt.Growth(model, Fails())
    run = dict(optimizer=optimizer, growth=growth, history=history, entropies="last")
    with pytest.raises(LookupError, match="decide"):
        list(sgt.train(model, [rows()] * 4, log=path, **run))
    assert optimizer.steps == history.last_step == 2
    assert history.series("loss")[0].tolist() == history.entropies()[0].tolist() == [1, 2]
    assert history.of_type("growth") == []
    assert sgt.History.read(path).records == history.records
    assert next(sgt.train(model, [rows()], **run)).step == 3
    assert history.series("loss")[0].tolist() == [1, 2, 3]


INTERRUPTED = """
    import os, signal, sys
    import numpy as np
    import libsgt as sgt
    from conftest import SEQ, small_config
    from test_train import rows

    model = sgt.Model(small_config(), sgt.Context(threads=1))
    optimizer = sgt.Optimizer(model)
    growth = sgt.Growth(model, sgt.SparseGrowth(first_step=1, window=1))
    where, times = sys.argv[1], int(sys.argv[2])
    forward, backward, step = model.forward, model.backward, optimizer.step
    counts, history = dict(forward=0, backward=0, step=0), sgt.History()

    def interrupting(name, function):
        def call(*arguments):
            counts[name] += 1
            result = function(*arguments)
            if where == name and counts[name] == 3:
                for _ in range(times):
                    os.kill(os.getpid(), signal.SIGINT)
            return result
        return call

    model.forward = interrupting("forward", forward)
    model.backward = interrupting("backward", backward)
    optimizer.step = interrupting("step", step)
    handler = signal.getsignal(signal.SIGINT)
    try:
        for metrics in sgt.train(model, [rows()] * 40, optimizer=optimizer, growth=growth,
                                 micro_batches=4, history=history):
            pass
        print("not interrupted")
    except KeyboardInterrupt:
        print("interrupted", counts["forward"], counts["backward"], optimizer.steps)
    assert signal.getsignal(signal.SIGINT) is handler
    assert history.series("loss")[0].tolist() == [1, 2, 3][:optimizer.steps]
    sgt.Checkpoint.save(sys.argv[3], model, optimizer=optimizer, growth=growth)
    for metrics in sgt.train(model, [rows()] * 8, optimizer=optimizer, growth=growth):
        pass
    print("went on to", metrics.step, optimizer.steps)
"""


@pytest.mark.parametrize(
    "where, times, passes",
    [
        ("forward", 1, "3 3 0"),  # waits for the end of the micro-batch
        ("backward", 1, "3 3 0"),
        ("step", 1, "12 12 3"),  # the step is whole
        ("forward", 2, "3 2 0"),  # pressed again: at once
        ("step", 2, "12 12 3"),
    ],
)
def test_ctrl_c(tmp_path, where, times, passes):
    result = run_python(INTERRUPTED, where, times, tmp_path / "saved")
    steps = int(passes.split()[-1])
    assert result.stdout.splitlines() == [
        f"interrupted {passes}",
        f"went on to {steps + 8} {steps + 8}",
    ], result.stderr


def test_ctrl_c_is_the_host_s_where_it_has_a_handler():
    result = run_python(
        """
        import os, signal, threading
        import libsgt as sgt
        from conftest import small_config
        from test_train import rows
        signal.signal(signal.SIGINT, lambda *seen: print("host"))
        model = sgt.Model(small_config(), sgt.Context(threads=1))
        for metrics in sgt.train(model, [rows()] * 3):
            os.kill(os.getpid(), signal.SIGINT)
        thread = threading.Thread(target=lambda: list(sgt.train(model, [rows()])))
        thread.start()
        thread.join()
        """
    )
    assert (result.returncode, result.stdout) == (0, "host\n" * 3), result.stderr
