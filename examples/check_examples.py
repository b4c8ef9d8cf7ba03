#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the examples as a user would and checks what they print, log and return.

usage: check_examples.py minimal PROGRAM
       check_examples.py train_text PROGRAM TEXT
       check_examples.py generate PROGRAM TEXT TRAIN_TEXT
"""

import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from write_llama import write_llama

EXAMPLE, PROGRAM = sys.argv[1:3]
TEXT = sys.argv[3] if len(sys.argv) > 3 else None
SMALL = "--d-model 32 --layers 4 --heads 2 --ff 64 --batch 4 --seq 32 --sample-bytes 40".split()


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, errors="replace",
                          timeout=250)


def read_log(path):
    """The records of a log by type; every line must be JSON as the standard has it."""
    def refuse(constant):
        raise ValueError(f"{constant} in the log")
    records = {}
    with open(path, encoding="ascii") as file:
        for line in file:
            record = json.loads(line, parse_constant=refuse)
            records.setdefault(record["type"], []).append(record)
    return records


def train(folder, name, *arguments):
    """A short training; gives its output and its log."""
    log = os.path.join(folder, name)
    result = run(TEXT, *SMALL, "--log", log, *arguments)
    assert result.returncode == 0, (arguments, result.stderr)
    return result.stdout, read_log(log)


def held_out(output):
    last = output.rstrip("\n").split("\n")[-1]
    found = re.fullmatch(r"held-out: (\d+\.\d{3}) bits per byte", last)
    assert found, last
    return float(found[1])


def check_growth(folder):
    output, log = train(folder, "sparse", "--steps", "60", "--growth-heads", "1")
    losses = [record["loss"] for record in log["step"]]
    events = log["growth"]
    assert [record["step"] for record in log["step"]] == list(range(1, 61))
    assert abs(losses[0] - math.log(256)) < 0.5 and losses[-1] < losses[0] - 1, losses
    assert held_out(output) < 6.5, output
    assert [e["action"] for e in events] == ["select"] * 3 + ["fix"], events
    assert events[-1]["step"] <= 0.6 * 60 and events[-1]["layers"] == [1, 2, 3], events
    assert all(len(e["heads"]) == 1 for e in events[:3]), events
    assert log["step"][0]["overhead"] == 0 < log["end"][0]["overhead"], log["end"]
    check_depth_records(log)
    assert output.count("growth: layer") == 3 and "---- sample 2 ----" in output, output
    assert abs(log["end"][0]["bits_per_byte"] - held_out(output)) < 6e-4
    return losses


def check_depth_records(log):
    """Plans and entropies: all that a picture of the growth needs, for 4 layers of 2 heads."""
    plans, costs = log["depth"], [record["overhead_now"] for record in log["step"]]
    looped = {e["layer"]: (e["step"], e["heads"]) for e in log["growth"] if e["action"] == "select"}
    assert [plan["step"] for plan in plans] == [0] + [e["step"] for e in log["growth"]], plans
    assert plans[0]["depths"] == [0, 0, 0, 0] and plans[-1]["depths"] == [0, 1, 1, 1], plans
    assert plans[0]["heads"] == [[], [], [], []] and plans[-1]["runs"] == [0, 0, 0, 0], plans
    assert plans[-1]["heads"] == [[]] + [looped[layer][1] for layer in (1, 2, 3)], plans
    first = min(step for step, _ in looped.values())
    assert max(costs[:first - 1]) == 0 < min(costs[first - 1:]), costs
    assert costs[-1] == log["end"][0]["overhead_now"], costs
    assert [record["step"] for record in log["entropy"]] == list(range(1, 61)), log["entropy"]
    for record in log["entropy"]:
        assert record["kind"] == "last" and len(record["values"]) == 4, record
        for layer, passes in enumerate(record["values"]):
            grown = layer in looped and looped[layer][0] < record["step"]
            assert len(passes) == 1 + grown, (layer, record)
            assert all(0 <= value <= 1 for value in passes[0]), record
            ran = [head for head, value in enumerate(passes[-1]) if value is not None]
            assert set(looped[layer][1]) <= set(ran) if grown else ran == [0, 1], record
    assert log["entropy"][-1]["values"][3][1].count(None) == 1, log["entropy"][-1]


def check_determinism(folder, losses):
    _, log = train(folder, "threads", "--steps", "60", "--growth-heads", "1", "--threads", "3")
    assert [record["loss"] for record in log["step"]] == losses
    _, log = train(folder, "seed", "--steps", "60", "--growth-heads", "1", "--seed", "2")
    assert [record["loss"] for record in log["step"]] != losses
    _, log = train(folder, "micro", "--steps", "60", "--growth-heads", "1", "--micro-batches", "2")
    pairs = zip(losses, (record["loss"] for record in log["step"]))
    assert all(abs(a - b) < 2e-3 for a, b in pairs)


def check_policies(folder):
    _, log = train(folder, "none", "--steps", "8", "--policy", "none")
    assert log["end"][0]["overhead"] == 0 and "growth" not in log and len(log["entropy"]) == 8
    _, blocks = train(folder, "blocks", "--steps", "8", "--policy", "blocks:1+2",
                      "--entropy-every", "5")
    _, heads = train(folder, "heads", "--steps", "8", "--policy", "heads:1.0+2.1")
    assert 0.2 < blocks["end"][0]["overhead"] < 0.6, blocks["end"]
    assert 0.01 < heads["end"][0]["overhead"] < 0.2, heads["end"]
    assert [plan["runs"] for plan in blocks["depth"]] == [[0, 1, 1, 0]], blocks["depth"]
    assert [record["step"] for record in blocks["entropy"]] == [5, 8], blocks["entropy"]
    assert [len(passes) for passes in blocks["entropy"][0]["values"]] == [1, 2, 2, 1]
    assert [plan["heads"] for plan in heads["depth"]] == [[[], [0], [1], []]], heads["depth"]


def check_groups(folder):
    """One candidate of each group, which are two: the last layer is alone in its own."""
    _, log = train(folder, "groups", "--steps", "20", "--growth-heads", "1",
                   "--growth-candidates", "1", "--pattern", "dense,dense,dense,local:2",
                   "--growth-groups", "patterns")
    first, second, fixed = log["growth"]
    assert first["layer"] == 3 and second["layer"] in (1, 2), log["growth"]
    assert fixed["layers"] == [second["layer"], 3], log["growth"]
    result = run(TEXT, *SMALL, "--growth-groups", "three")
    assert result.returncode == 2 and "--growth-groups: 'three'" in result.stderr, result.stderr


SPARSE = ("--feed-forward relu --units 16 --controller-rank 8 --hard-fraction 0.5 --unit-scale "
          "--unit-temperature 0.2 --head-modules 4").split()


def check_sparse(folder):
    """A token needs a part of the weights, and fewer products than a training step."""
    output, log = train(folder, "sparse-parts", "--steps", "60", "--growth-heads", "1", *SPARSE)
    losses = [record["loss"] for record in log["step"]]
    phases = log["end"][0]["phases"]
    assert losses[-1] < losses[0] - 1 and "MFLOP per byte: " in output, (losses, output)
    assert phases["decoding"]["weight_bytes"] < phases["evaluation"]["weight_bytes"], phases
    assert phases["training"]["weight_bytes"] == phases["evaluation"]["weight_bytes"], phases
    assert phases["training"]["flops"] > 3 * phases["evaluation"]["flops"] > 0, phases
    runs = [train(folder, "few", "--steps", "4", "--policy", "none", *SPARSE, "--hard-fraction",
                  fraction, "--unit-temperature", temperature)[1]
            for fraction, temperature in (("0", "0.2"), ("1", "0.2"), ("1", "3"))]
    soft, hard, noisy = (log["end"][0]["phases"]["training"]["flops"] for log in runs)
    assert soft > hard == noisy, (soft, hard, noisy)
    assert len({log["step"][-1]["loss"] for log in runs}) == 3, runs
    _, modules = train(folder, "modules", "--steps", "60", "--growth-heads", "1", *SPARSE,
                       "--attention", "multiplicative", "--attention-output", "none",
                       "--mult-kernel", "2")
    losses, costs = [r["loss"] for r in modules["step"]], modules["end"][0]["phases"]
    assert losses[-1] < losses[0] - 0.3, losses
    assert costs["decoding"]["weight_bytes"] < costs["evaluation"]["weight_bytes"], costs
    for arguments, culprit in [(["--feed-forward", "gelu"], "'gelu' is not swiglu or relu"),
                               (["--units", "7"], "units"),
                               (["--attention-output", "none"], "attention_output"),
                               (["--head-modules", "7"], "head_modules")]:
        result = run(TEXT, *SMALL, *arguments)
        assert result.returncode == 2 and culprit in result.stderr, (arguments, result.stderr)


def check_time_limit(folder):
    output, log = train(folder, "time", "--minutes", "0.05", "--steps", "100000000")
    planned = log["run"][0]["steps"]
    assert 1 <= log["end"][0]["steps"] <= planned < 100000000, log["end"]
    assert log["end"][0]["seconds"] < 30, log["end"]
    assert "trial steps" in output


def check_speed(folder):
    """Evaluations, here several times as long as a step, are no part of the speed."""
    output, log = train(folder, "speed", "--steps", "30", "--held-out", TEXT,
                        "--evaluate-every", "1")
    lines = re.findall(r"^step +(\d+)/30 .*  (\d+) bytes/s", output, re.MULTILINE)
    done = 0
    for last, shown in lines:
        times = [1 / record["tokens_per_s"] for record in log["step"][done:int(last)]]
        speed = len(times) / sum(times)
        assert speed / 3 < float(shown) < 3 * speed, (last, shown, speed)
        done = int(last)
    assert done == 30, output


def check_last_evaluation(folder):
    """It is announced, and goes no further than a tenth of the time limit takes it."""
    output, _ = train(folder, "announced", "--steps", "2", "--held-out", TEXT)
    size = os.path.getsize(TEXT) - 1
    assert re.search(rf"^evaluating on {size} bytes of held-out text, about \d+ s$", output,
                     re.MULTILINE), output
    assert f"held-out text: all {size} bytes" in output, output
    long_text = os.path.join(folder, "long")
    with open(TEXT, "rb") as file, open(long_text, "wb") as made:
        made.write(file.read() * 200)
    output, _ = train(folder, "bounded", "--minutes", "0.005", "--steps", "2",
                      "--held-out", long_text)
    covered = re.search(r"^held-out text: (\d+) of \d+ bytes, evenly spread", output, re.MULTILINE)
    assert covered and int(covered[1]) < 2 ** 21, output


def check_signal(folder):
    """Lines come through a pipe as they are written: the plan long before the first progress."""
    log = os.path.join(folder, "signal")
    process = subprocess.Popen([PROGRAM, TEXT, *SMALL, "--steps", "100000000", "--log", log],
                               stdout=subprocess.PIPE, text=True, errors="replace")
    seen = {}
    for line in process.stdout:
        seen.setdefault(line.split()[0], time.monotonic())
        if line.startswith("step"):
            break
    assert seen["plan:"] + 1 < seen["step"], seen
    process.send_signal(signal.SIGINT)
    output = process.stdout.read()
    assert process.wait(timeout=60) == 0
    assert "stopped by a signal" in output
    held_out(output)
    assert len(read_log(log)["end"]) == 1


def check_resume(folder, *model):
    """Stopped in the middle of a growth window and resumed with other threads: the same bytes."""
    def checkpoint(name, *arguments):
        path = os.path.join(folder, name)
        result = run(TEXT, *SMALL, *model, "--steps", "40", "--growth-heads", "1",
                     "--checkpoint", path, *arguments)
        assert result.returncode == 0, (arguments, result.stderr)
        return path, result.stdout

    def last(path):
        names = sorted(os.listdir(path))
        with open(os.path.join(path, names[-1]), "rb") as file:
            return names, file.read()

    whole, _ = checkpoint("whole", "--every", "8", "--threads", "1")
    parts, output = checkpoint("parts", "--threads", "2", "--stop-at", "7", "--resume")
    assert "starting anew" in output and "stopped as told after 7 of 40 steps" in output, output
    _, output = checkpoint("parts", "--threads", "3", "--resume", "--keep", "2", "--every", "10")
    assert "resuming after step 7 from " in output, output
    names, data = last(whole)
    assert names == [f"step-{n:012}.safetensors" for n in (8, 16, 24, 32, 40)], names
    names, resumed = last(parts)
    assert names == [f"step-{n:012}.safetensors" for n in (30, 40)], names
    assert data == resumed
    for arguments, culprit in [(["--seed", "9"], "data.seed is 1 in the checkpoint, 9 now"),
                               (["--d-model", "64"], "d_model 32 in the file, 64 here"),
                               (["--growth-depth", "2"], "option max_depth")]:
        result = run(TEXT, *SMALL, *model, "--steps", "40", "--growth-heads", "1", "--checkpoint",
                     parts, "--resume", *arguments)
        assert result.returncode == 2 and culprit in result.stderr, (arguments, result.stderr)


def check_bad_input(folder):
    empty = os.path.join(folder, "empty")
    short = os.path.join(folder, "short")
    open(empty, "w").close()
    with open(short, "w", encoding="ascii") as file:
        file.write("short")
    for arguments, culprit in [
        ([], "TEXT"),
        ([TEXT, TEXT], "one argument too many"),
        ([os.path.join(folder, "missing")], "missing: No such file"),
        ([folder], folder),
        ([empty], "empty: is empty"),
        ([short], "short: has 5 bytes"),
        ([TEXT, "--held-out", empty], "empty: is empty"),
        ([TEXT, "--steps", "many"], "--steps: 'many'"),
        ([TEXT, "--steps", "0"], "--steps: '0'"),
        ([TEXT, "--steps", "5x"], "--steps: '5x'"),
        ([TEXT, "--resume"], "--resume: needs --checkpoint"),
        ([TEXT, "--stop-at", "3"], "--stop-at: needs --checkpoint"),
        ([TEXT, "--checkpoint", os.path.join(folder, "no", "folder")], "no/folder: No such file"),
        ([TEXT, "--checkpoint", empty], "empty: Not a directory"),
        ([TEXT, "--lr", "nan"], "--lr: 'nan'"),
        ([TEXT, "--lr"], "'--lr' needs a value"),
        ([TEXT, "--colour", "red"], "'--colour' is not an option"),
        ([TEXT, "--batch", "4", "--micro-batches", "3"], "--micro-batches: 3"),
        ([TEXT, "--heads", "5"], "d_model"),
        ([TEXT, "--policy", "magic"], "--policy: 'magic'"),
        ([TEXT, "--policy", "blocks:9"], "--policy: '9'"),
        ([TEXT, "--policy", "heads:1.0,2.0"], "--policy: ',2.0'"),
        ([TEXT, "--ramp", "steep"], "--ramp: 'steep'"),
        ([TEXT, "--backend", "abacus"], "abacus"),
        ([TEXT, "--backend", os.path.join(folder, "abacus.so")], "abacus.so"),
        ([TEXT, "--log", os.path.join(folder, "no", "log")], "--log: "),
    ]:
        result = run(*arguments)
        assert result.returncode == 2, (arguments, result)
        assert culprit in result.stderr and result.stderr.startswith("train_text: "), result.stderr


def generate(*arguments, prompt=None, status=0):
    """What the program prints: bytes, and its messages as text."""
    result = subprocess.run([PROGRAM, *arguments], capture_output=True, timeout=120,
                            input=b"" if prompt is None else prompt)
    errors = result.stderr.decode()
    assert result.returncode == status, (arguments, result)
    return result.stdout, errors


def train_for_generate(folder):
    """A model that has learnt a few words, in a folder of checkpoints."""
    checkpoints = os.path.join(folder, "checkpoints")
    result = subprocess.run([sys.argv[4], TEXT, *SMALL, "--steps", "60", "--every", "30",
                             "--samples", "0", "--growth-heads", "1", "--checkpoint", checkpoints],
                            capture_output=True, timeout=250)
    assert result.returncode == 0, result.stderr
    return checkpoints


def check_texts(checkpoints):
    seeds = {generate(checkpoints, "the ", "--seed", str(seed))[0] for seed in range(4)}
    assert len(seeds) == 4
    text, speed = generate(checkpoints, "the ", "--tokens", "20", "--raw")
    assert text.startswith(b"the ") and len(text) == 24, text
    assert re.fullmatch(r"prompt: 4 tokens, [0-9.]+ tokens/s\ntext: 20 tokens, [0-9.]+ tokens/s\n",
                        speed), speed
    new, quiet = generate(checkpoints, "--tokens", "20", "--raw", "--only-new", "--quiet",
                          "--threads", "1", prompt=b"the ")
    assert new == text[4:] and quiet == ""
    file = os.path.join(checkpoints, "step-000000000060.safetensors")
    assert generate(file, "the ", "--tokens", "20", "--raw")[0] == text
    earlier = generate(checkpoints, "the ", "--tokens", "20", "--raw", "--step", "30")[0]
    assert earlier != text and len(earlier) == 24


def check_settings(checkpoints):
    greedy = generate(checkpoints, "the ", "--temperature", "0")[0]
    for arguments in (["--top-k", "1"], ["--top-p", "1e-9"], ["--min-p", "1"]):
        assert generate(checkpoints, "the ", "--seed", "5", *arguments)[0] == greedy, arguments
    words = greedy.split()
    punished = generate(checkpoints, "the ", "--temperature", "0", "--repetition-penalty", "3",
                        "--repetition-window", "999")[0]
    assert punished != greedy and len(set(greedy)) < len(set(punished)), (greedy, punished)
    rounded = generate(checkpoints, "the ", "--temperature", "0", "--bf16")[0]
    assert rounded.split()[:1] == words[:1] and len(rounded) > 200, rounded


def check_long_texts(checkpoints):
    """Longer than the 32 bytes the model can look back, and less."""
    text, speed = generate(checkpoints, "the " * 20, "--tokens", "300", "--raw", "--only-new")
    assert len(text) == 300 and "(the last of 80)" in speed, speed
    last = generate(checkpoints, "the " * 4, "--tokens", "300", "--raw", "--only-new")[0]
    assert text == last
    short = generate(checkpoints, "the ", "--tokens", "50", "--raw", "--context", "1")[0]
    assert len(short) == 54


def check_stop(checkpoints, ids_folder):
    """A text ends with what --stop names, also where a session ends in the middle of it."""
    arguments = (checkpoints, "the ", "--raw", "--only-new", "--quiet", "--context", "8")
    whole = generate(*arguments, "--tokens", "100")[0]
    for start in (3, 40):
        stop = whole[start : start + 12]
        text = generate(*arguments, "--tokens", "100", "--stop", stop)[0]
        assert text == whole[: whole.find(stop) + 12], stop
    arguments = (ids_folder, "3 30 7", "--ids", "--only-new")
    ids = generate(*arguments, "--tokens", "9")[0].split()
    stop = b" ".join(ids[3:5]).decode()
    assert generate(*arguments, "--tokens", "9", "--stop", stop)[0].split() == ids[:5]


def check_utf8(checkpoints):
    """Bytes that are no characters are replaced, control characters spelt out."""
    prompt = b"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xffb\xe2\x82c\xed\xa0\x80\x1b[\r\xc2\x9b\n"
    shown, _ = generate(checkpoints, "--tokens", "3", "--temperature", "0", prompt=prompt)
    expected = "a\u00e9\u20ac\U0001f600\ufffdb\ufffdc\ufffd\ufffd\ufffd\\x1b[\\x0d\\xc2\\x9b\n"
    assert shown.decode().startswith(expected), shown
    raw, _ = generate(checkpoints, "--tokens", "3", "--raw", "--temperature", "0", prompt=prompt)
    assert raw.startswith(prompt) and len(raw) == len(prompt) + 3
    for seed in range(20):  # a hot model says anything, but what is shown is text
        hot, _ = generate(checkpoints, "a", "--temperature", "30", "--seed", str(seed))
        hot.decode()
        assert hot.endswith(b"\n")


def check_streaming(checkpoints):
    """Text comes while more is generated; the first signal ends it well."""
    process = subprocess.Popen([PROGRAM, checkpoints, "the ", "--tokens", "10000000"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert len(process.stdout.read(100)) == 100
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and rest.endswith(b"\n") and b"text: " in errors, errors


def check_hugging_face(folder):
    bytes_folder, ids_folder = os.path.join(folder, "bytes"), os.path.join(folder, "ids")
    os.mkdir(bytes_folder)
    os.mkdir(ids_folder)
    write_llama(bytes_folder, 256)
    write_llama(ids_folder, 31)
    assert len(generate(bytes_folder, "ab", "--raw", "--tokens", "5")[0]) == 7
    numbers = generate(ids_folder, "--ids", "--tokens", "9", prompt=b" 3 30\n7")[0].split()
    assert numbers[:3] == [b"3", b"30", b"7"] and len(numbers) == 12
    assert all(0 <= int(number) < 31 for number in numbers)
    return ids_folder


def check_bad_models(folder, checkpoints, ids_folder):
    empty, broken = os.path.join(folder, "empty"), os.path.join(folder, "broken.safetensors")
    os.mkdir(empty)
    with open(os.path.join(checkpoints, "step-000000000060.safetensors"), "rb") as file:
        data = file.read()
    with open(broken, "wb") as file:
        file.write(data[: len(data) // 2])
    for arguments, status, culprit in [
        ([], 2, "MODEL"),
        ([empty, "a", "b"], 2, "'b' is one argument too many"),
        ([os.path.join(folder, "missing"), "a"], 2, "missing: No such file"),
        ([empty, "a"], 2, "empty: has neither a config.json nor checkpoints"),
        ([broken, "a"], 1, "broken.safetensors"),
        ([TEXT, "a"], 1, "SGT_E_FORMAT"),
        ([checkpoints, "a", "--step", "7"], 2, "step-000000000007"),
        ([ids_folder, "a"], 2, "has 31 tokens, not the 256 bytes"),
        ([ids_folder, "31", "--ids"], 2, "31"),
        ([ids_folder, "3 x", "--ids"], 2, "--ids: 'x'"),
        ([ids_folder, "-3", "--ids"], 2, "'-3' is not an option"),
        ([ids_folder, "--ids"], 2, "the prompt is empty"),
        ([checkpoints, ""], 2, "the prompt is empty"),
        ([checkpoints], 2, "the prompt is empty"),
        ([checkpoints, "a", "--stop", ""], 2, "--stop is empty"),
        ([ids_folder, "3", "--ids", "--stop", "x"], 2, "--ids: 'x'"),
        ([checkpoints, "a", "--top-p", "0"], 2, "top_p is 0"),
        ([checkpoints, "a", "--temperature", "-1"], 2, "--temperature: '-1'"),
        ([checkpoints, "a", "--repetition-penalty", "0"], 2, "repetition_penalty is 0"),
        ([checkpoints, "a", "--tokens", "0"], 2, "--tokens: '0'"),
        ([checkpoints, "a", "--backend", "abacus"], 2, "abacus"),
    ]:
        output, errors = generate(*arguments, status=status)
        assert culprit in errors and errors.startswith("generate: "), (arguments, errors)
        assert errors.count(folder) <= 1, errors
        assert not output or arguments[0] == ids_folder, (arguments, output)


def check_generate():
    assert b"--repetition-penalty" in generate("--help")[0]
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = train_for_generate(folder)
        check_texts(checkpoints)
        check_settings(checkpoints)
        check_long_texts(checkpoints)
        check_utf8(checkpoints)
        check_streaming(checkpoints)
        ids_folder = check_hugging_face(folder)
        check_stop(checkpoints, ids_folder)
        check_bad_models(folder, checkpoints, ids_folder)


def check_minimal():
    result = run()
    assert result.returncode == 0, result.stderr
    assert "step  60: layer 2 loops\n" in result.stdout, result.stdout
    losses = re.findall(r"^step .*: loss (\d+\.\d+)$", result.stdout, re.MULTILINE)
    assert len(losses) == 4 and float(losses[-1]) < 0.3, result.stdout


def check_train_text():
    help_text = run("--help")
    assert help_text.returncode == 0 and "--checkpoint FOLDER" in help_text.stdout
    with tempfile.TemporaryDirectory() as folder:
        check_bad_input(folder)
        check_determinism(folder, check_growth(folder))
        check_policies(folder)
        check_groups(folder)
        check_sparse(folder)
        check_time_limit(folder)
        check_speed(folder)
        check_last_evaluation(folder)
        check_signal(folder)
        for name, model in (("resumed", ()), ("resumed-sparse", SPARSE)):
            os.mkdir(os.path.join(folder, name))
            check_resume(os.path.join(folder, name), *model)


{"minimal": check_minimal, "train_text": check_train_text, "generate": check_generate}[EXAMPLE]()
print(f"{EXAMPLE}: all checks passed")
