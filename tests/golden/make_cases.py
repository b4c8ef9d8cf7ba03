# SPDX-License-Identifier: BSD-3-Clause
"""Writes more golden cases of kind `forward`: python3 make_cases.py OUT_DIR (needs numpy and jax).

The formulas of doc/maths.md in the plainest form, in float64, with gradients by jax; a second
opinion beside the PyTorch reference the other cases come from, for shapes those do not have.
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


def draw_weights(c, rng):
    d, q, kv = c["d_model"], c["n_heads"] * c["head_dim"], c["n_kv_heads"] * c["head_dim"]
    shapes = {"model.embed_tokens": (c["vocab_size"], d)}
    for i in range(c["n_layers"]):
        layer = f"model.layers.{i}."
        shapes |= {layer + "input_layernorm": (d,), layer + "self_attn.q_proj": (q, d),
                   layer + "self_attn.k_proj": (kv, d), layer + "self_attn.v_proj": (kv, d),
                   layer + "self_attn.o_proj": (d, q), layer + "post_attention_layernorm": (d,),
                   layer + "mlp.gate_proj": (c["d_ff"], d), layer + "mlp.up_proj": (c["d_ff"], d),
                   layer + "mlp.down_proj": (d, c["d_ff"])}
    shapes["model.norm"] = (d,)
    if not c["tied"]:
        shapes["lm_head"] = (c["vocab_size"], d)
    return {name + ".weight": (1 + 0.2 * rng.standard_normal(shape) if len(shape) == 1
                               else 0.2 * rng.standard_normal(shape)).astype(np.float32)
            for name, shape in shapes.items()}


def rms_norm(x, weight, eps):
    return weight * x / jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + eps)


def rotate(x, theta):  # [B,T,h,dh]
    half = x.shape[-1] // 2
    angle = np.outer(np.arange(x.shape[1]), theta ** (-2.0 * np.arange(half) / x.shape[-1]))
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def attention(c, p, layer, x, gains, entropies):
    """One pass; appends (last, mean) to entropies, NaN for heads with gain 0."""
    b, t, _ = x.shape
    name = f"model.layers.{layer}."
    n = rms_norm(x, p[name + "input_layernorm.weight"], c["norm_eps"])

    def heads(which, count):
        return (n @ p[f"{name}self_attn.{which}_proj.weight"].T).reshape(b, t, count, -1)

    q, k = (rotate(heads(w, c[h]), c["rope_theta"]) for w, h in (("q", "n_heads"), ("k", "n_kv_heads")))
    repeat = c["n_heads"] // c["n_kv_heads"]
    k, v = (jnp.repeat(y, repeat, 2) for y in (k, heads("v", c["n_kv_heads"])))
    s = jnp.einsum("bihd,bjhd->bhij", q, k) / np.sqrt(c["head_dim"])
    s = jnp.where(np.tril(np.ones((t, t), bool)), s, -jnp.inf)
    prob = jax.nn.softmax(s, -1)
    out = jnp.einsum("bhij,bjhd->bihd", prob, v) * np.asarray(gains)[:, None]
    if entropies is not None:
        row = -jax.scipy.special.xlogy(prob, prob).sum(-1)  # [B,H,T]
        row = row / np.maximum(np.log(np.arange(1, t + 1)), 1e-300) if t > 1 else row * 0
        last, mean = row[..., -1].mean(0), (row[..., 1:].mean((0, 2)) if t > 1 else row[..., 0].mean(0))
        off = np.asarray(gains) == 0
        entropies.append([np.where(off, np.nan, e) for e in (last, mean)])
    return x + out.reshape(b, t, -1) @ p[name + "self_attn.o_proj.weight"].T


def feed_forward(c, p, layer, x):
    name = f"model.layers.{layer}."
    n = rms_norm(x, p[name + "post_attention_layernorm.weight"], c["norm_eps"])
    gate, up, down = (p[f"{name}mlp.{w}_proj.weight"] for w in ("gate", "up", "down"))
    return x + (jax.nn.silu(n @ gate.T) * (n @ up.T)) @ down.T


def logits_of(c, p, tokens, plan, loops, entropies=None):
    x = p["model.embed_tokens.weight"][tokens]
    for layer in range(c["n_layers"]):
        seen = None if entropies is None else entropies.setdefault(layer, [])
        for _ in range(1 + loops.get(layer, 0)):
            for gains in [[1.0] * c["n_heads"]] + plan.get(layer, []):
                x = attention(c, p, layer, x, gains, seen)
            x = feed_forward(c, p, layer, x)
    head = p["model.embed_tokens.weight" if c["tied"] else "lm_head.weight"]
    return rms_norm(x, p["model.norm.weight"], c["norm_eps"]) @ head.T


def write_case(out, name, config, batch, seq, seed, plan=None, loops=None, ignored=0, sharp=1,
               logits_rows=0):
    """sharp: the scores of attention are so many times larger. logits_rows: only the logits of so
    many rows at the end of each sequence are kept; 0: all."""
    c = {"rope_theta": 10000.0, "norm_eps": 1e-6, "tied": False} | config
    rng, plan, loops = np.random.default_rng(seed), plan or {}, loops or {}
    w32 = draw_weights(c, rng)
    for weight in (w32[k] for k in w32 if ".q_proj." in k):
        weight *= sharp
    p = {k: jnp.asarray(v, jnp.float64) for k, v in w32.items()}
    tokens = rng.integers(0, c["vocab_size"], (batch, seq), dtype=np.int32)
    targets = rng.integers(0, c["vocab_size"], (batch, seq), dtype=np.int32)
    targets[:, :ignored] = -1

    def loss(p):
        logs = jax.nn.log_softmax(logits_of(c, p, tokens, plan, loops))
        picked = jnp.take_along_axis(logs, np.maximum(targets, 0)[..., None], -1)[..., 0]
        return -(picked * (targets >= 0)).sum() / (targets >= 0).sum()

    value, grads = jax.value_and_grad(loss)(p)
    entropies = {}
    logits = logits_of(c, p, tokens, plan, loops, entropies)
    t = {"param/" + k: v for k, v in w32.items()}
    t |= {"in/tokens": tokens, "in/targets": targets, "out/logits": np.float32(logits[:, -logits_rows:]),
          "out/loss": np.float64([value])}
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
                  | ({"logits_rows": logits_rows} if logits_rows else {}), file, indent=1)


def main(out):
    def config(v, d, layers, h, kv, dh, ff, longest, **more):
        return {"vocab_size": v, "d_model": d, "n_layers": layers, "n_heads": h, "n_kv_heads": kv,
                "head_dim": dh, "d_ff": ff, "max_seq_len": longest, **more}

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


if __name__ == "__main__":
    main(sys.argv[1])
