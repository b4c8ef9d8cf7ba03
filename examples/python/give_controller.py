#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Gives the feed-forward parts of a trained dense LLaMA controllers, which choose units.

    python3 give_controller.py FOLDER OUT --tokens tokens.bin --units 8 --rank 64
    python3 give_controller.py FOLDER OUT --text novel.txt --layers 20-29

A text shows what every layer sees (h) and how much each unit of its feed-forward part contributes:
its activation times the length of its column of down. Then, for each chosen layer,

 1. units are put into groups of --units so that those of one group rarely contribute together; rows
    of gate and up and columns of down are moved accordingly, which changes no output;
 2. a controller of rank --rank is fitted to predict which unit of each group contributes most;
 3. down is fitted anew, near to what it was, so that chosen units stand in for the others too.

OUT is a folder that libsgt loads, where each token uses one unit of every group. That loses much of
what the model knew, and fine-tuning brings some of it back (examples/finetune_hf). What is lost is
printed per layer, on tokens that nothing was fitted to; doc/sparse-feed-forward.md has figures of a
real model. A text needs the package transformers, tokens do not.
"""
from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Set

import numpy as np
import numpy.typing as npt

import libsgt as sgt

Array = npt.NDArray[Any]


class Controller(NamedTuple):
    """The unit of a group that is used is that of the largest logit of up (down h) + bias."""

    down: Array  # [r,d]
    up: Array  # [f,r]
    bias: Array  # [f]


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--text", type=Path, metavar="FILE")
    data.add_argument("--tokens", type=Path, metavar="FILE", help="little-endian ids")
    parser.add_argument("--id-bytes", type=int, choices=(2, 4),
                        help="of the ids in the file (4 for vocabularies above 65536, else 2)")
    parser.add_argument("--units", type=int, default=8, help="units of a group (%(default)s)")
    parser.add_argument("--rank", type=int, default=64, help="of the controllers (%(default)s)")
    parser.add_argument("--layers", help="such as 3,10-19 (all)")
    parser.add_argument("--count", type=int, default=8192,
                        help="tokens that are looked at (%(default)s)")
    parser.add_argument("--seq", type=int, default=256, help="tokens of a window (%(default)s)")
    parser.add_argument("--refit", type=float, default=1.0, metavar="RIDGE",
                        help="what holds the new down to the old one; 0: keep that (%(default)s)")
    parser.add_argument("--temperature", type=float, default=0.1,
                        help="of the noise in training (%(default)s)")
    parser.add_argument("--hard-fraction", type=float, default=1.0,
                        help="of training steps that choose as decoding does (%(default)s)")
    return parser.parse_args()


# ---- what is looked at ----


def read_ids(o: argparse.Namespace, vocab_size: int) -> Array:
    if not o.text:
        id_bytes = o.id_bytes or (4 if vocab_size > 65536 else 2)
        return np.memmap(o.tokens, dtype=f"<u{id_bytes}", mode="r")
    try:
        from transformers import AutoTokenizer
    except ImportError:
        sys.exit("give_controller.py: --text needs the package transformers")
    tokenizer = AutoTokenizer.from_pretrained(o.folder)
    return np.array(tokenizer.encode(o.text.read_text(encoding="utf-8")))


def read_windows(o: argparse.Namespace, vocab_size: int) -> Array:
    """Windows [n,seq] all over the text in random order, as the last of them judge the others."""
    ids, count = read_ids(o, vocab_size), o.count // o.seq
    if count < 8 or ids.size < 8 * o.seq:
        raise ValueError(f"{ids.size} tokens, of which {o.count} are to be looked at (--count), "
                         f"are not 8 windows of --seq {o.seq}")
    starts = np.linspace(0, ids.size - o.seq, count).astype(np.int64)
    np.random.default_rng(0).shuffle(starts)
    windows: Array = np.stack([ids[at : at + o.seq] for at in starts]).astype(np.int32)
    if windows.max() >= vocab_size:
        raise ValueError(f"id {windows.max()} is none of the model's {vocab_size}")
    return windows


def read_layers(spec: Optional[str], n_layers: int) -> List[int]:
    if spec is None:
        return list(range(n_layers))
    layers: Set[int] = set()
    for piece in spec.split(","):
        first, _, last = piece.partition("-")
        layers.update(range(int(first), int(last or first) + 1))
    if not layers or min(layers) < 0 or max(layers) >= n_layers:
        raise ValueError(f"--layers: '{spec}' is none of the layers 0 to {n_layers - 1}")
    return sorted(layers)


# ---- the dense model, in numpy: the library does not show what is inside of a layer ----


def norm(x: Array, weight: Array, config: sgt.ModelConfig) -> Array:
    result: Array = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + config.norm_eps) * weight
    return result


def rotate(x: Array, theta: float) -> Array:
    """Heads [T,H,dh], turned by their position."""
    half = x.shape[-1] // 2
    angle = np.outer(np.arange(x.shape[0]), theta ** (-np.arange(half) / half))[:, None, :]
    cos, sin = np.cos(angle).astype(x.dtype), np.sin(angle).astype(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def attention(x: Array, model: sgt.Model, at: str) -> Array:
    """What the attention of a layer adds to a window x [T,d]."""
    config = model.config
    h = norm(x, model.parameter(f"{at}.input_layernorm.weight"), config)
    size = config.head_dim or config.d_model // config.n_heads
    q, k, v = ((h @ model.parameter(f"{at}.self_attn.{name}_proj.weight").T)
               .reshape(len(h), -1, size) for name in "qkv")
    q, k = rotate(q, config.rope_theta), rotate(k, config.rope_theta)
    k, v = (np.repeat(part, q.shape[1] // part.shape[1], axis=1) for part in (k, v))
    scores = np.einsum("ihd,jhd->hij", q, k, optimize=True) / np.float32(np.sqrt(size))
    scores[:, np.triu(np.ones(scores.shape[1:], bool), 1)] = -np.inf
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    seen = np.einsum("hij,jhd->ihd", scores, v, optimize=True).reshape(len(h), -1)
    result: Array = seen @ model.parameter(f"{at}.self_attn.o_proj.weight").T
    return result


def activations(h: Array, model: sgt.Model, at: str) -> Array:
    """What down gets of every unit: silu(gate h) * up h, [n,f]."""
    gate = h @ model.parameter(f"{at}.mlp.gate_proj.weight").T
    act: Array = h @ model.parameter(f"{at}.mlp.up_proj.weight").T
    act *= gate / (1 + np.exp(-np.clip(gate, -80, None)))
    return act


def feed_forward(h: Array, model: sgt.Model, at: str) -> Array:
    result: Array = (activations(h, model, at)
                     @ model.parameter(f"{at}.mlp.down_proj.weight").T)
    return result


def check_forward(model: sgt.Model, tokens: Array) -> None:
    """Numpy and the library must agree on the logits of a window; else all below were wrong."""
    expected = model.evaluate(tokens[None], logits=True).logits
    assert expected is not None
    config = model.config
    x = model.parameter("model.embed_tokens.weight")[tokens]
    for layer in range(config.n_layers):
        at = f"model.layers.{layer}"
        x = x + attention(x, model, at)
        h = norm(x, model.parameter(f"{at}.post_attention_layernorm.weight"), config)
        x = x + feed_forward(h, model, at)
    head = model.parameter("model.embed_tokens.weight" if config.tied else "lm_head.weight")
    logits = norm(x, model.parameter("model.norm.weight"), config) @ head.T
    error = float(np.abs(logits - expected[0]).max() / np.abs(expected).max())
    print(f"logits differ from the library's by {error:.1e} of the largest")
    if not error < 1e-3:
        raise ValueError("this model is no dense LLaMA: its logits are not those of one")


# ---- groups ----


def group_units(c: Array, units: int) -> Array:
    """An order [f] in which each `units` units in a row rarely contribute together.

    c [n,f]: contributions. What the choice of one unit drops of a group's energy, the squares of
    all but the largest, is at most the sum of c_u c_v over its pairs. So this looks for equal parts
    with little of W = c^T c within. A local search swaps two units while that lowers the sum: O(f)
    for the best partner of one unit, some tens of rounds, each part as large as the others all the
    time. (Filling groups greedily leaves the last ones with what fitted nowhere.)
    """
    f = c.shape[1]
    weights = c.T @ c
    # The strongest start in different groups.
    order = np.argsort(-np.diag(weights), kind="stable")
    np.fill_diagonal(weights, 0)
    group = np.empty(f, np.int64)
    group[order] = np.arange(f) % (f // units)
    near = np.zeros((f // units, f), weights.dtype)  # of a group and a unit: the sum of weights
    np.add.at(near, group, weights)
    own = near[group, np.arange(f)]
    swaps = f
    while swaps > f // 200:  # the last few swaps gain next to nothing
        swaps = 0
        for u in order:
            a = group[u]
            gain = own[u] + own - near[group, u] - near[a] + 2 * weights[u]
            gain[group == a] = 0
            v = int(gain.argmax())
            if gain[v] <= 1e-6 * own[u]:
                continue
            b = group[v]
            change = weights[v] - weights[u]
            near[a] += change
            near[b] -= change
            group[u], group[v] = b, a
            for of in (a, b):
                members = np.flatnonzero(group == of)
                own[members] = near[of, members]
            swaps += 1
    return np.argsort(group, kind="stable")


# ---- controllers ----


def of_groups(values: Array, units: int) -> Array:
    return values.reshape(len(values), -1, units)


def logits_of(h: Array, controller: Controller) -> Array:
    logits: Array = (h @ controller.down.T) @ controller.up.T + controller.bias
    return logits


def fit_controller(h: Array, c: Array, units: int, rank: int) -> Controller:
    """Ridge regression of this rank of contributions c [n,f] by h [n,d]: a prediction of the least
    squared error. Only differences within a group matter."""
    groups = of_groups(c, units)
    target = (groups - groups.mean(axis=-1, keepdims=True)).reshape(c.shape)
    middle, mean = h.mean(axis=0), target.mean(axis=0)
    gram = (h - middle).T @ (h - middle)
    gram += 0.1 * np.trace(gram) / len(gram) * np.eye(len(gram), dtype=gram.dtype)
    whole = np.linalg.solve(gram, (h - middle).T @ (target - mean))  # [d,f]
    # The directions in which what it predicts varies most.
    axes = np.linalg.svd(np.linalg.cholesky(gram).T @ whole, full_matrices=False)[2]
    up = axes[:rank].T
    down = (whole @ up).T
    return scale_logits(Controller(down, up, mean - up @ (down @ middle)), h, groups)


def scale_logits(controller: Controller, h: Array, groups: Array) -> Controller:
    """The same choices by logits whose softmax is nearest to the units' shares of what their group
    contributes: training measures its noise, and the gradient of a choice, by them."""
    energy = groups * groups
    z = of_groups(logits_of(h, controller), groups.shape[-1])
    z = (z - z.max(axis=-1, keepdims=True)) / z.std()

    def cross_entropy(scale: float) -> float:
        log_m = scale * z - np.log(np.exp(scale * z).sum(axis=-1, keepdims=True))
        return -float((energy * log_m).sum())

    scale = min(2.0 ** np.arange(-3, 8), key=cross_entropy) / logits_of(h, controller).std()
    # Entries of one size in both matrices, as their gradients get steps of one size.
    balance = np.sqrt(scale * controller.up.std() / controller.down.std())
    return Controller(balance * controller.down, scale / balance * controller.up,
                      scale * controller.bias)


def keep(act: Array, scores: Array, units: int) -> Array:
    """act [n,f] where a unit has the highest score of its group, else 0."""
    chosen = of_groups(scores, units).argmax(axis=-1)
    kept: Array = of_groups(act, units) * (np.arange(units) == chosen[..., None])
    return kept.reshape(act.shape)


def refit_down(kept: Array, y: Array, down: Array, ridge: float) -> Array:
    """The matrix [d,f] near to down by which `kept` [n,f] gives nearly y [n,d]."""
    gram = kept.T @ kept
    scale = np.diag(gram) + 0.01 * np.diag(gram).mean()  # some units may never be chosen
    change = np.linalg.solve(gram + np.diag(ridge * scale), kept.T @ (y - kept @ down.T))
    new: Array = down + change.T
    return new


# ---- layers ----


def share_kept(y: Array, approximate: Array) -> float:
    """How much of the energy of y [n,d] is there, of the mean token: a few have most of all."""
    lost = ((y - approximate) ** 2).sum(axis=1) / ((y * y).sum(axis=1) + 1e-30)
    return float(1 - lost.mean())


def convert(h: Array, model: sgt.Model, layer: int, o: argparse.Namespace) -> Dict[str, Array]:
    """The new parameters of a feed-forward part that sees h [n,d]; the last eighth judges them."""
    at, n = f"model.layers.{layer}", len(h) - len(h) // 8
    act = activations(h, model, at)
    down = model.parameter(f"{at}.mlp.down_proj.weight")
    y = act @ down.T
    c = np.abs(act) * np.linalg.norm(down, axis=0)
    c /= np.linalg.norm(c, axis=1, keepdims=True) + 1e-30  # every token counts the same
    order = group_units(c[:n], o.units)
    act, c, down = act[:, order], c[:, order], down[:, order]
    moved = float(np.abs(act[n:] @ down.T - y[n:]).max() / np.abs(y[n:]).max())
    if not moved < 1e-4:
        raise ValueError(f"layer {layer}: moving units changed outputs by {moved:.1e}")

    controller = fit_controller(h[:n], c[:n], o.units, o.rank)
    scores = logits_of(h, controller)
    kept = keep(act, scores, o.units)
    new = refit_down(kept[:n], y[:n], down, o.refit) if o.refit else down
    right = of_groups(scores[n:], o.units).argmax(-1) == of_groups(c[n:], o.units).argmax(-1)
    best = share_kept(y[n:], keep(act[n:], c[n:], o.units) @ down.T)
    print(f"layer {layer}: kept of the output's energy: by the best choice {best:.3f}, by the "
          f"controller's {share_kept(y[n:], kept[n:] @ down.T):.3f}, with its new down "
          f"{share_kept(y[n:], kept[n:] @ new.T):.3f}; they agree on {right.mean():.3f}",
          flush=True)
    return {
        f"{at}.mlp.gate_proj.weight": model.parameter(f"{at}.mlp.gate_proj.weight")[order],
        f"{at}.mlp.up_proj.weight": model.parameter(f"{at}.mlp.up_proj.weight")[order],
        f"{at}.mlp.down_proj.weight": new,
        f"{at}.mlp.controller.down.weight": controller.down,
        f"{at}.mlp.controller.up.weight": controller.up,
        f"{at}.mlp.controller.bias": controller.bias,
    }


def convert_layers(model: sgt.Model, windows: Array, layers: List[int],
                   o: argparse.Namespace) -> Dict[str, Array]:
    """Runs the dense model through the text, layer by layer."""
    changed: Dict[str, Array] = {}
    x = model.parameter("model.embed_tokens.weight")[windows]
    for layer in range(model.config.n_layers):
        at = f"model.layers.{layer}"
        for window in x:
            window += attention(window, model, at)
        h = norm(x, model.parameter(f"{at}.post_attention_layernorm.weight"), model.config)
        h = h.reshape(-1, h.shape[-1])
        if layer in layers:
            changed.update(convert(h, model, layer, o))
        x += feed_forward(h, model, at).reshape(x.shape)
    return changed


def make_model(dense: sgt.Model, changed: Dict[str, Array], layers: List[int],
               o: argparse.Namespace) -> sgt.Model:
    config = dense.config
    blocks = config.blocks or (sgt.BlockConfig(),)
    blocks = [blocks[i % len(blocks)] for i in range(config.n_layers)]
    for layer in layers:
        blocks[layer] = dataclasses.replace(
            blocks[layer], units=o.units, controller_rank=o.rank, temperature=o.temperature,
            hard_fraction=o.hard_fraction)
    model = sgt.Model(dataclasses.replace(config, blocks=blocks), dense.context, seed=None)
    model.special_tokens = dense.special_tokens
    for name in model.names:
        model.write_parameter(name, changed[name] if name in changed else dense.parameter(name))
    return model


def check_options(o: argparse.Namespace, model: sgt.Model) -> None:
    config = model.config
    if o.units < 2 or config.d_ff % o.units:
        raise ValueError(f"--units: groups of {o.units} do not part the {config.d_ff} units")
    if not 1 <= o.rank <= min(config.d_model, config.d_ff):
        raise ValueError(f"--rank: {o.rank}, not 1 to {min(config.d_model, config.d_ff)}")
    if any(block.units or block.feed_forward != "swiglu" or block.attention != "softmax"
           for block in config.blocks):
        raise ValueError("this model is no dense LLaMA: its blocks are not those of one")


def main() -> int:
    o = read_options()
    try:
        dense = sgt.Model.from_pretrained(o.folder)
        check_options(o, dense)
        layers = read_layers(o.layers, dense.config.n_layers)
        windows = read_windows(o, dense.config.vocab_size)
        check_forward(dense, windows[0])
        o.out.mkdir(parents=True, exist_ok=True)
        model = make_model(dense, convert_layers(dense, windows, layers, o), layers, o)
        model.save_pretrained(o.out, copy_from=o.folder)
    except (OSError, ValueError, sgt.Error) as error:
        print(f"give_controller.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
