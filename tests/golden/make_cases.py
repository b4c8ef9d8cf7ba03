# SPDX-License-Identifier: BSD-3-Clause
"""Writes more golden cases of kind `forward` into OUT_DIR/cases and OUT_DIR/parts:
python3 make_cases.py OUT_DIR (needs numpy and jax).

The formulas of doc/maths.md in the plainest form, in float64, with gradients by jax; a second
opinion beside the PyTorch reference the other cases come from, for shapes those do not have.

A case with parts beside the plain model has `blocks`, a list of kinds of block, each the list of
its patterns as texts (`local+strided:5`, by key/value head) or a dict of what is not STANDARD about
it, `altup` = (streams, order, table) and `head_modules`; `mode` is soft, hard or infer.
"""
import json
import os
import struct
import sys

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
TYPES = {"float32": "F32", "float64": "F64", "int32": "I32"}
STANDARD = {"patterns": [], "attention": "standard", "mult_kernel": 3, "attention_output": 1,
            "feed_forward": "swiglu", "units": 0, "controller_rank": 0}


def write_safetensors(path, tensors):
    header, blobs, offset = {}, [], 0
    for name, value in tensors.items():
        blob = np.ascontiguousarray(value).tobytes()
        header[name] = {"dtype": TYPES[str(value.dtype)], "shape": list(value.shape),
                        "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def kind_of(blocks, layer):
    """The block of a layer, complete."""
    given = blocks[layer % len(blocks)] if blocks else []
    return STANDARD | (given if isinstance(given, dict) else {"patterns": given})


def draw_sparse(c, parts, width, rng):
    """What layers have instead of dense matrices, and the head."""
    d, s, m, f = c["d_model"], c["n_heads"], c["head_dim"], c["d_ff"]
    drawn = {}

    def draw(name, std, *shape):
        drawn[name] = (std * rng.standard_normal(shape)).astype(np.float32)

    for i in range(c["n_layers"]):
        kind, layer = kind_of(parts["blocks"], i), f"model.layers.{i}."
        if kind["units"]:
            draw(layer + "mlp.controller.down.weight", 0.4, kind["controller_rank"], d)
            draw(layer + "mlp.controller.up.weight", 0.6, f, kind["controller_rank"])
            draw(layer + "mlp.controller.bias", 0.2, f)
        if kind["attention"] == "multiplicative":
            for name, std, shape in (("scale", 0.5, (s, d)), ("weight", 0.4, (m, d)), ("bias", 0.1, (d,))):
                draw(f"{layer}self_attn.mult.{name}", std, *shape)
            for name, span in (("q", 3), ("k", 3), ("v", 1)):
                draw(f"{layer}self_attn.{name}_conv.weight", 0.3, m, m, kind["mult_kernel"], span)
                draw(f"{layer}self_attn.{name}_conv.bias", 0.1, m)
    if parts["head_modules"]:
        draw("lm_head.scale", 0.5, parts["head_modules"], width)
        draw("lm_head.weight", 0.4, c["vocab_size"] // parts["head_modules"], width)
        draw("lm_head.bias", 0.1, c["vocab_size"])
    return drawn


def draw_weights(c, parts, rng):
    d, q, kv = c["d_model"], c["n_heads"] * c["head_dim"], c["n_kv_heads"] * c["head_dim"]
    streams, _, table = parts["altup"]
    width = streams * d if table == "wide" else d
    shapes = {"model.embed_tokens": (c["vocab_size"], width)}
    for i in range(c["n_layers"]):
        layer = f"model.layers.{i}."
        shapes |= {layer + "input_layernorm": (d,), layer + "self_attn.q_proj": (q, d),
                   layer + "self_attn.k_proj": (kv, d), layer + "self_attn.v_proj": (kv, d),
                   layer + "self_attn.o_proj": (d, q), layer + "post_attention_layernorm": (d,),
                   layer + "mlp.gate_proj": (c["d_ff"], d), layer + "mlp.up_proj": (c["d_ff"], d),
                   layer + "mlp.down_proj": (d, c["d_ff"])}
        kind = kind_of(parts["blocks"], i)
        for lacking, names in (
                (kind["attention"] == "multiplicative", ("q_proj", "k_proj", "v_proj")),
                (not kind["attention_output"], ("o_proj",)), (kind["feed_forward"] == "relu", ("gate_proj",))):
            for name in names if lacking else ():
                del shapes[layer + ("mlp." if name == "gate_proj" else "self_attn.") + name]
    shapes["model.norm"] = (width,)
    if not c["tied"] and not parts["head_modules"]:
        shapes["lm_head"] = (c["vocab_size"], width)
    weights = {name + ".weight": (1 + 0.2 * rng.standard_normal(shape) if len(shape) == 1
                                  else 0.2 * rng.standard_normal(shape)).astype(np.float32)
               for name, shape in shapes.items()}
    for i in range(c["n_layers"] if streams > 1 else 0):
        name, noise = f"model.layers.{i}.altup.", 0.2 * rng.standard_normal((streams + 1, streams))
        weights[name + "predict"] = (np.eye(streams) + noise[:streams]).astype(np.float32)
        weights[name + "correct"] = (1 + noise[streams]).astype(np.float32)
    return weights | draw_sparse(c, parts, width, rng)


def rms_norm(x, weight, eps):
    return weight * x / jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + eps)


def rotate(x, theta):  # [B,T,h,dh]
    half = x.shape[-1] // 2
    angle = np.outer(np.arange(x.shape[1]), theta ** (-2.0 * np.arange(half) / x.shape[-1]))
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def read_pattern(text):
    """`dense`, or sets:stride[:summary[:phase]], as an object of case.json."""
    sets, *numbers = text.split(":")
    return {} if sets == "dense" else {"sets": sets.split("+")} | dict(
        zip(("stride", "summary", "phase"), map(int, numbers)))


def visible(pattern, seq):
    """[i,j]: whether query i sees key j."""
    i, j = np.arange(seq)[:, None], np.arange(seq)[None]
    l, c, o = (pattern.get(k, default) for k, default in (("stride", 1), ("summary", 0), ("phase", 0)))
    sets = {"local": i - j < l, "strided": (i - j) % l == 0, "block": i // l == j // l,
            "summary": (j % l >= l - c * (o + 1)) & (j % l < l - c * o)}
    seen = i == j
    for name in pattern.get("sets", []):
        seen = seen | sets[name]
    return (seen if pattern else True) & (j <= i)


def multiply(x, p, name):
    """[..,i] -> [..,s,m]"""
    scale, weight = p[name + "scale"], p[name + "weight"]
    bias = p[name + "bias"].reshape(scale.shape[0], -1)
    return jnp.einsum("...i,si,mi->...sm", x, scale, weight) + bias


def convolve(u, weight, bias):
    """Over time and modules [B,T,S,M]: tap F-1 is now, the middle of W the module itself."""
    _, t, s, _ = u.shape
    steps, span = weight.shape[2:]
    wide = jnp.pad(u, ((0, 0), (steps - 1, 0), (span // 2, span // 2), (0, 0)))
    return bias + sum(wide[:, f:f + t, e:e + s] @ weight[:, :, f, e].T
                      for f in range(steps) for e in range(span))


def attention(c, p, kind, layer, x, gains, entropies):
    """One pass; appends (last, mean) to entropies, NaN for heads with gain 0."""
    patterns = kind["patterns"] or ["dense"]
    b, t, _ = x.shape
    name = f"model.layers.{layer}."
    n = rms_norm(x, p[name + "input_layernorm.weight"], c["norm_eps"])

    def heads(which, count):
        return (n @ p[f"{name}self_attn.{which}_proj.weight"].T).reshape(b, t, count, -1)

    if kind["attention"] == "multiplicative":
        u = multiply(n, p, name + "self_attn.mult.")
        q, k, v = (convolve(u, p[f"{name}self_attn.{w}_conv.weight"], p[f"{name}self_attn.{w}_conv.bias"])
                   for w in "qkv")
    else:
        q, k, v = heads("q", c["n_heads"]), heads("k", c["n_kv_heads"]), heads("v", c["n_kv_heads"])
    q, k = rotate(q, c["rope_theta"]), rotate(k, c["rope_theta"])
    repeat = c["n_heads"] // c["n_kv_heads"]
    k, v = jnp.repeat(k, repeat, 2), jnp.repeat(v, repeat, 2)
    s = jnp.einsum("bihd,bjhd->bhij", q, k) / np.sqrt(c["head_dim"])
    seen = np.stack([visible(read_pattern(patterns[h // repeat % len(patterns)]), t)
                     for h in range(c["n_heads"])])  # [H,T,T]
    prob = jax.nn.softmax(jnp.where(seen, s, -jnp.inf), -1)
    out = jnp.einsum("bhij,bjhd->bihd", prob, v) * np.asarray(gains)[:, None]
    if entropies is not None:
        row, keys = -jax.scipy.special.xlogy(prob, prob).sum(-1), seen.sum(-1)  # [B,H,T], [H,T]
        row = jnp.where(keys > 1, row / np.log(np.maximum(keys, 2)), 0.0).mean(0)
        last, mean = row[:, -1], row.sum(-1) / np.maximum((keys > 1).sum(-1), 1)
        off = np.asarray(gains) == 0
        entropies.append([np.where(off, np.nan, e) for e in (last, mean)])
    out = out.reshape(b, t, -1)
    return x + (out @ p[name + "self_attn.o_proj.weight"].T if kind["attention_output"] else out)


def mask_of(kind, p, name, n, mode):
    """[..,f]: 1 without a controller; a hard one has the gradient of the soft one."""
    if not kind["units"]:
        return 1.0
    z = n @ p[name + "mlp.controller.down.weight"].T @ p[name + "mlp.controller.up.weight"].T
    z = (z + p[name + "mlp.controller.bias"]).reshape(*n.shape[:-1], -1, kind["units"])
    mask = jax.nn.softmax(z, -1)
    if mode != "soft":
        mask = jax.nn.one_hot(z.argmax(-1), kind["units"]) + mask - jax.lax.stop_gradient(mask)
    return mask.reshape(*n.shape[:-1], -1)


def feed_forward(c, p, kind, layer, x, mode):
    name = f"model.layers.{layer}."
    n = rms_norm(x, p[name + "post_attention_layernorm.weight"], c["norm_eps"])
    up, mask = n @ p[name + "mlp.up_proj.weight"].T, mask_of(kind, p, name, n, mode)
    if kind["feed_forward"] == "relu":
        inner = jax.nn.relu(up * mask)
    else:
        inner = jax.nn.silu(n @ p[name + "mlp.gate_proj.weight"].T) * up * mask
    return x + inner @ p[name + "mlp.down_proj.weight"].T


def block(c, p, parts, layer, x, plan, loops, entropies):
    """A layer with its loops and runs."""
    kind = kind_of(parts["blocks"], layer)
    seen = None if entropies is None else entropies.setdefault(layer, [])
    for _ in range(1 + loops.get(layer, 0)):
        for gains in [[1.0] * c["n_heads"]] + plan.get(layer, []):
            x = attention(c, p, kind, layer, x, gains, seen)
        x = feed_forward(c, p, kind, layer, x, parts["mode"])
    return x


def logits_of(c, p, parts, tokens, plan, loops, entropies=None):
    streams, order, table = parts["altup"]
    x = p["model.embed_tokens.weight"][tokens]
    planes = jnp.split(x, streams, -1) if table == "wide" else [x] * streams
    for layer in range(c["n_layers"]):
        active = layer % streams if order == "alternate" else 0
        out = block(c, p, parts, layer, planes[active], plan, loops, entropies)
        if streams == 1:
            planes = [out]
            continue
        predict, correct = (p[f"model.layers.{layer}.altup.{w}"] for w in ("predict", "correct"))
        ahead = [sum(row[k] * planes[k] for k in range(streams)) for row in predict]
        planes = [plane + correct[k] * (out - ahead[active]) for k, plane in enumerate(ahead)]
    x = jnp.concatenate(planes, -1) if table == "wide" else sum(planes) / streams
    x = rms_norm(x, p["model.norm.weight"], c["norm_eps"])
    if parts["head_modules"]:
        return multiply(x, p, "lm_head.").reshape(*x.shape[:-1], -1)
    return x @ p["model.embed_tokens.weight" if c["tied"] else "lm_head.weight"].T


def parts_of_case(parts):
    """As case.json has them: every key is there."""
    kinds = [kind_of(parts["blocks"], i) for i in range(len(parts["blocks"]))]
    streams, order, table = parts["altup"]
    return {"blocks": [kind | {"patterns": [read_pattern(text) for text in kind["patterns"]]}
                       for kind in kinds],
            "altup_streams": streams, "altup_order": order, "altup_table": table,
            "head_modules": parts["head_modules"]}


def write_case(out, name, config, batch, seq, seed, plan=None, loops=None, ignored=0, sharp=1,
               logits_rows=0, blocks=(), altup=(1, "alternate", "recycled"), head_modules=0, mode="soft"):
    """sharp: the scores of attention are so many times larger. logits_rows: only the logits of so
    many rows at the end of each sequence are kept; 0: all."""
    c = {"rope_theta": 10000.0, "norm_eps": 1e-6, "tied": False} | config
    rng, plan, loops = np.random.default_rng(seed), plan or {}, loops or {}
    parts = {"blocks": blocks, "altup": altup, "head_modules": head_modules, "mode": mode}
    w32 = draw_weights(c, parts, rng)
    for weight in (w32[k] for k in w32 if ".q_proj." in k):
        weight *= sharp
    p = {k: jnp.asarray(v, jnp.float64) for k, v in w32.items()}
    tokens = rng.integers(0, c["vocab_size"], (batch, seq), dtype=np.int32)
    targets = rng.integers(0, c["vocab_size"], (batch, seq), dtype=np.int32)
    targets[:, :ignored] = -1

    def loss(p):
        logs = jax.nn.log_softmax(logits_of(c, p, parts, tokens, plan, loops))
        picked = jnp.take_along_axis(logs, np.maximum(targets, 0)[..., None], -1)[..., 0]
        return -(picked * (targets >= 0)).sum() / (targets >= 0).sum()

    value, grads = jax.value_and_grad(loss)(p)
    entropies = {}
    logits = logits_of(c, p, parts, tokens, plan, loops, entropies)
    t = {"param/" + k: v for k, v in w32.items()}
    t |= {"in/tokens": tokens, "in/targets": targets, "out/logits": np.float32(logits[:, -logits_rows:]),
          "out/loss": np.float64([value])}
    if mode == "infer":
        grads, entropies = {}, {}
    t |= {"grad/" + k: np.float32(v) for k, v in grads.items()}
    for layer, passes in entropies.items():
        for n, (last, mean) in enumerate(passes):
            t[f"entropy/{layer}/{n}/last"], t[f"entropy/{layer}/{n}/mean"] = last, mean
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    write_safetensors(os.path.join(folder, "tensors.safetensors"), t)
    with open(os.path.join(folder, "case.json"), "w") as file:
        json.dump({"kind": "forward", "config": c, "batch": batch, "seq": seq, "plan": plan,
                   "block_loops": loops, "ignore_index": -1}
                  | ({"parts": parts_of_case(parts), "mode": mode}
                     if blocks or altup[0] > 1 or head_modules else {})
                  | ({"logits_rows": logits_rows} if logits_rows else {}), file, indent=1)


def config(v, d, layers, h, kv, dh, ff, longest, **more):
    return {"vocab_size": v, "d_model": d, "n_layers": layers, "n_heads": h, "n_kv_heads": kv,
            "head_dim": dh, "d_ff": ff, "max_seq_len": longest, **more}


def write_plain(out):
    # Passes within repeated blocks; heads of width 6 that do not make up d.
    write_case(out, "loops_in_blocks", config(23, 20, 3, 4, 2, 6, 28, 16), 2, 13, 1,
               plan={1: [[0.5, 0, 0, 1.0]], 2: [[0, 0, 0.75, 0], [1.0, 0.25, 0, 0]]},
               loops={0: 1, 2: 2})
    # The shortest sequence: no entropy, one visible key.
    write_case(out, "one_token", config(17, 16, 2, 2, 1, 8, 20, 1, tied=True), 3, 1, 2,
               plan={1: [[1.0, 0.5]]})
    # More than one tile of attention and of loss rows, none of them whole; another base.
    write_case(out, "long_odd", config(37, 24, 2, 3, 3, 10, 26, 640, rope_theta=500.0), 1, 613, 3,
               plan={1: [[0, 1.0, 0.125]]}, ignored=5)
    # The paper's length, where angles of float32 are off by 1e-4; the loss is that of the last rows,
    # and rotations are fast and scores large, so that it matters.
    write_case(out, "long_angles", config(29, 16, 2, 2, 1, 8, 24, 4096, rope_theta=20.0), 1, 4096,
               4, plan={1: [[0, 1.0]]}, sharp=4, logits_rows=64, ignored=4032)


def write_patterns(out):
    # Two kinds of block in turn, each with its patterns by group of heads; odd strides, no whole
    # block at the end, phases; passes and runs of them.
    write_case(out, "patterns_mixed", config(23, 18, 3, 4, 2, 6, 20, 40), 2, 37, 11, ignored=3,
               blocks=[["local:7", "block:11"], ["summary:9:2", "summary:9:2:1"]],
               plan={1: [[0.5, 0, 0, 1.0]], 2: [[0, 0, 0.75, 0], [1.0, 0.25, 0, 0]]},
               loops={2: 1})
    # Unions, among them ones that overlap and one that is everything; more groups than patterns.
    write_case(out, "patterns_merged", config(19, 16, 4, 6, 3, 4, 20, 64), 2, 45, 12,
               blocks=[["local+strided:5"], ["block+summary:8:3:1", "dense"],
                       ["local+summary:7:2:2", "strided+block:6"],
                       ["local+strided+block+summary:13:1", "local:1", "strided:1"]],
               plan={0: [[0, 0, 1.0, 0, 0, 0.5]], 3: [[0, 1.0, 0.25, 0, 0, 1.0]]}, loops={1: 1})
    # No stride ends within the sequence: local and block see everything, the others nothing but
    # the query itself, or a few cells that come before the end of their first block.
    write_case(out, "patterns_short", config(17, 16, 4, 2, 2, 8, 18, 32), 3, 29, 13,
               blocks=[["local:100", "strided:31"], ["block:64", "summary:40:3"],
                       ["summary:40:3:7", "local:29"], ["summary:30:15:1"]],
               plan={0: [[0.5, 1.0]], 2: [[1.0, 0]]})
    write_case(out, "patterns_one_token", config(13, 16, 4, 2, 1, 8, 18, 8, tied=True), 3, 1, 14,
               blocks=[["local:3"], ["strided:2"], ["block+summary:4:1"], ["summary:1:1"]],
               plan={1: [[1.0, 0.5]], 2: [[0, 1.0]]}, loops={3: 1})
    # More than one tile, none of them whole; scores large, so that few keys decide.
    write_case(out, "patterns_long", config(17, 16, 3, 4, 2, 6, 20, 640), 1, 613, 15, ignored=5,
               sharp=3, logits_rows=256,
               blocks=[["local:130", "strided:37"], ["block+summary:64:5:2", "block+summary:64:5"],
                       ["local+strided:23", "summary:200:70:1"]],
               plan={1: [[0, 1.0, 0.125, 0]], 2: [[1.0, 0, 0, 0]]}, loops={0: 1})


def write_altup(out):
    # An odd number of layers, so that the streams have not had the same. What follows streams is
    # mostly free of their scale, so that gradients of predict are small differences of large sums:
    # this seed is one where float32 keeps five digits of them.
    write_case(out, "altup_two_tied", config(19, 16, 3, 2, 2, 8, 20, 16, tied=True), 2, 13, 71,
               altup=(2, "alternate", "recycled"), plan={1: [[1.0, 0.25]]})
    write_case(out, "altup_four_same", config(19, 16, 3, 4, 2, 4, 20, 16), 2, 13, 22,
               altup=(4, "same", "recycled"), plan={1: [[0, 1.0, 0.5, 0], [0, 0, 0, 1.0]]},
               loops={0: 2, 1: 1})
    # Fewer layers than streams.
    write_case(out, "altup_five", config(17, 12, 3, 2, 1, 6, 16, 16), 2, 11, 23,
               altup=(5, "alternate", "recycled"), ignored=2)
    write_case(out, "altup_three_wide", config(19, 14, 4, 2, 2, 6, 20, 16), 2, 13, 24,
               altup=(3, "alternate", "wide"), plan={2: [[1.0, 0]]})
    write_case(out, "altup_two_wide_tied", config(19, 16, 2, 2, 1, 8, 20, 16, tied=True), 2, 13, 25,
               altup=(2, "same", "wide"), loops={1: 1})
    write_case(out, "altup_one_token", config(13, 16, 2, 2, 1, 8, 18, 1), 3, 1, 26,
               altup=(2, "alternate", "recycled"), plan={1: [[1.0, 0.5]]})
    write_case(out, "altup_patterns", config(19, 18, 4, 6, 3, 6, 20, 64), 2, 41, 27, ignored=4,
               altup=(2, "alternate", "recycled"),
               blocks=[["local:6", "block+summary:8:2", "summary:8:2:1"], ["local+strided:5"]],
               plan={1: [[0, 0.5, 0, 0, 1.0, 0]], 2: [[1.0, 0, 0, 0, 0, 1.0], [0, 0, 1.0, 0, 0, 0]]},
               loops={2: 1, 3: 1})


def units(units, rank, feed_forward="swiglu", **more):
    return {"feed_forward": feed_forward, "units": units, "controller_rank": rank, **more}


def write_sparse(out):
    # Groups of odd numbers of units, of one unit and of all; ReLU and SwiGLU, with and without a
    # controller; passes and repeated blocks, patterns by group.
    mixed = [units(3, 4, "relu", patterns=["local:5", "block:4"]), units(7, 1), {"feed_forward": "relu"},
             units(21, 2), units(1, 3, "relu")]
    for mode in ("soft", "hard", "infer"):
        write_case(out, "units_" + mode, config(19, 18, 5, 4, 2, 6, 21, 24), 2, 17, 31, ignored=2,
                   blocks=mixed, mode=mode, plan={1: [[0.5, 0, 0, 1.0]]}, loops={0: 1, 3: 2})
    # Enough units that few of them are left, and rows that no kernel's tile divides.
    write_case(out, "units_many", config(17, 24, 2, 2, 1, 12, 512, 80), 1, 77, 32, logits_rows=20,
               blocks=[units(64, 6, "relu"), units(32, 5, "relu")], mode="hard", loops={1: 1})
    write_case(out, "units_one_token", config(13, 16, 2, 2, 1, 8, 12, 4), 3, 1, 33, mode="hard",
               blocks=[units(6, 2), units(4, 3, "relu")], plan={0: [[1.0, 0.5]]})
    # A head of as many modules as tokens, one of one; streams of their own width.
    write_case(out, "head_of_tokens", config(19, 16, 2, 2, 2, 8, 20, 16), 2, 13, 34, head_modules=19)
    write_case(out, "head_wide", config(21, 14, 3, 2, 1, 6, 18, 16), 2, 13, 35, head_modules=3,
               altup=(3, "alternate", "wide"), blocks=[units(9, 2), ["local:4"]], mode="hard",
               ignored=1, plan={1: [[1.0, 0]]})
    # Everything at once as evaluation and decoding choose, behind a head of one module.
    write_case(out, "units_everything", config(23, 18, 4, 6, 3, 6, 36, 40), 2, 37, 36, mode="infer",
               altup=(2, "alternate", "wide"), head_modules=1, ignored=3,
               blocks=[units(12, 3, "relu", patterns=["local:6", "block+summary:8:2", "dense"]),
                       units(9, 4, patterns=["strided:3"]), units(36, 1)],
               plan={1: [[0, 0.5, 0, 0, 1.0, 0]], 2: [[1.0, 0, 0, 0, 0, 1.0], [0, 0, 1.0, 0, 0, 0]]},
               loops={0: 1, 3: 1})


if __name__ == "__main__":
    write_plain(os.path.join(sys.argv[1], "cases"))
    write_patterns(os.path.join(sys.argv[1], "parts"))
    write_altup(os.path.join(sys.argv[1], "parts"))
    write_sparse(os.path.join(sys.argv[1], "parts"))
