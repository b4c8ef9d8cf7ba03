# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of a training, from its `History` or its log.

    import libsgt as sgt
    sgt.plot.report("run.jsonl", "report.png")     # all four panels
    axes = sgt.plot.entropy_map(history)           # one of them, to go on with

The panels: the training curve with what growth did; the entropy of every attention head over time
with the heads that loop outlined; the depth; the FLOPs that the depth costs. Needs matplotlib (3.6
or later), which is imported at the first call, and no display: figures are made without pyplot.

    sgt.plot.pattern("local+strided:16")           # who sees what under an attention pattern
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import Float64
from ._enums import Kind
from ._text import Path
from .history import History, Int64, Record, growth_text, load
from .pattern import AttentionPattern

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["report", "training_curve", "entropy_map", "depth", "overhead", "pattern"]

# Colours that stay apart for colour-blind eyes (Okabe and Ito), one per looped layer.
_LAYERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_INK, _GREY, _PALE = "#222222", "#767676", "#b9c6d3"

_STYLE: Any = {
    "font.size": 9.5,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.2,
    "text.color": _INK,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
}

_MOST_LABELS = 12      # beyond that, texts would cover each other
_MOST_OUTLINED = 72    # rows of the entropy map
_MOST_POINTS = 4000    # of a line
_MOST_COLUMNS = 120    # of the entropy map: the mean of a few steps says more than one of them


def report(source: History | Path, path: Path | None = None, *, title: str | None = None,
           size: tuple[float, float] = (13.0, 8.4), dpi: float = 130,
           kind: Kind | None = None) -> Figure:
    """Draws all four panels and, with a path, writes them in the format of its suffix.

    source: a `History` or the path of a log. size is in inches; dpi counts for pixel formats. kind:
    see `entropy_map`. Raises ImportError without matplotlib, OSError, and ValueError for what is
    not a log or has no steps.
    """
    history = load(source)
    if not history.last_step:
        raise ValueError(f"{source if history is not source else 'the history'} has no steps")
    with _style():
        figure = _figure(size)
        panels = figure.subplots(2, 2)
        training_curve(history, panels[0, 0])
        entropy_map(history, panels[0, 1], kind=kind)
        depth(history, panels[1, 0])
        overhead(history, panels[1, 1])
        for axes in panels[0]:
            axes.set_xlabel("")
        figure.suptitle(_headline(history) if title is None else title, x=0.012, ha="left",
                        fontsize=12)
        if path is not None:
            figure.savefig(path, dpi=dpi)
    return figure


def training_curve(source: History | Path, axes: Axes | None = None) -> Axes:
    """Loss of every step, smoothed loss, held-out loss, and lines where growth acted.

    In bits per byte for a model of bytes, else in nats per token. axes None: a new figure.
    """
    history = load(source)
    with _style():
        axes = axes or _figure((7, 4.4)).subplots()
        axes.set_title("Training curve")
        scale, unit = _unit(history)
        steps, loss = history.series("loss")
        loss = loss * scale
        smooth = _smooth(loss)
        held_out = _held_out(history)
        if len(steps):
            axes.plot(*_thin(steps, loss), color=_PALE, linewidth=0.7,
                      label=f"each step, from {loss[0]:.2f}")
            axes.plot(*_thin(steps, smooth), color=_LAYERS[0], linewidth=1.8, label="smoothed")
        if len(held_out[0]):
            axes.plot(held_out[0], held_out[1] * scale, "o-", color=_LAYERS[1], linewidth=1.2,
                      markersize=4, label="held-out", clip_on=False, zorder=3)
        _zoom(axes, loss, smooth, held_out[1] * scale)
        _draw_events(axes, history)
        _finish(axes, history, unit)
        _legend(axes)
    return axes


def entropy_map(source: History | Path, axes: Axes | None = None, *,
                kind: Kind | None = None) -> Axes:
    """The entropy of every head over time, layer 0 at the bottom, with looped heads outlined.

    Shown is what the built-in policy looks at: of a head that stays in its layer's loop the last
    pass, of any other pass 0. kind: "last" or "mean"; None: the one that was collected, "last" where
    both were.
    """
    history = load(source)
    with _style():
        axes = axes or _figure((7, 4.4)).subplots()
        axes.set_title("Attention entropy of each head")
        steps, values = history.entropies(kind or _collected(history) or "last")
        if not np.isfinite(values).any():
            _say(axes, _missing(kind, _collected(history)))
        else:
            loops = _Loops.of(history, values.shape[1])
            _draw_map(axes, *_coarsen(steps, _seen(steps, values, loops)), end=int(steps[-1]))
            _mark_heads(axes, loops, values.shape[3])
            if steps[-1] < 0.95 * history.last_step:
                axes.annotate("not collected\nany longer", (0.98, 0.5), xycoords="axes fraction",
                              ha="right", va="center", color=_GREY)
        _finish(axes, history)
    return axes


def depth(source: History | Path, axes: Axes | None = None) -> Axes:
    """Extra attention passes over time, stacked by layer in the order in which layers looped."""
    history = load(source)
    with _style():
        axes = axes or _figure((7, 4.4)).subplots()
        axes.set_title("Depth")
        loops = _Loops.of(history)
        steps = np.append(loops.steps, history.last_step)
        below = np.zeros(len(steps))
        for layer, colour in loops.colours.items():
            extra = np.array([passes[layer] - 1 for passes in loops.passes])
            above = below + np.append(extra, extra[-1])
            axes.fill_between(steps, below, above, step="post", color=colour, alpha=0.28,
                              linewidth=0)
            shown = above > below
            axes.step(steps[shown], above[shown], where="post", color=colour, linewidth=1.6)
            if len(loops.colours) <= _MOST_LABELS:
                axes.annotate(loops.describe(layer), (steps[shown][0], (below[-1] + above[-1]) / 2),
                              xytext=(6, 0), textcoords="offset points", va="center")
            below = above
        if not loops.colours:
            _say(axes, "no layer loops")
        axes.set_ylim(0, max(below.max(initial=0) * 1.08, 1))
        axes.yaxis.set_major_locator(_ticker().MaxNLocator(integer=True))
        _finish(axes, history, "extra attention passes")
    return axes


def overhead(source: History | Path, axes: Axes | None = None) -> Axes:
    """FLOPs beyond those of the same model without loops: of each step and of the run so far."""
    history = load(source)
    with _style():
        axes = axes or _figure((7, 4.4)).subplots()
        axes.set_title("Cost of depth")
        top = 0.0
        for key, name, colour in (("overhead_now", "now", _LAYERS[1]),
                                  ("overhead", "run so far", _LAYERS[0])):
            steps, values = history.series(key)
            known = np.isfinite(values)
            if known.any():
                percent = 100 * values[known]
                axes.plot(steps[known], percent, color=colour, linewidth=1.8,
                          label=f"{name} {percent[-1]:+.2f} %")
                top = max(top, float(percent.max()))
        axes.set_ylim(0, 1.08 * top or 1)
        _draw_events(axes, history, named=False)
        _finish(axes, history, "more FLOPs than without loops, %")
        _legend(axes)
    return axes


def pattern(pattern: AttentionPattern | str, seq: int = 64, axes: Axes | None = None) -> Axes:
    """Who sees what: a row a query, a column a key, filled where the query sees the key.

    pattern: an `AttentionPattern` or its text. seq: how many tokens are shown.
    """
    if isinstance(pattern, str):
        pattern = AttentionPattern.parse(pattern)
    shares = pattern.pairs(seq) / (seq * (seq + 1) // 2)
    with _style():
        axes = axes or _figure((5, 5)).subplots()
        axes.set_title(f"{pattern}: {shares:.3g} of all pairs")
        cells = pattern.visible(seq).astype(np.float64)
        cells[np.triu_indices(seq, 1)] = np.nan  # what comes later is no key at all
        axes.pcolormesh(np.arange(seq + 1), np.arange(seq + 1), cells, cmap=_two_colours(),
                        vmin=0, vmax=1)
        axes.plot([0, seq], [0, seq], color=_GREY, linewidth=0.8)
        axes.set(xlabel="key", ylabel="query", aspect="equal", xlim=(0, seq), ylim=(seq, 0))
        axes.grid(False)
    return axes



# -- depth over time --

@dataclass(frozen=True)
class _Loops:
    """The "depth" records: entry i of each list holds from steps[i] on."""

    steps: Int64
    passes: list[list[int]]
    """Of the attention of each layer, at least 1."""
    heads: list[list[list[int]]]
    """Of each layer, those that stay in the loop."""
    blocks: list[list[int]]
    """Extra runs of each layer's whole block."""
    colours: dict[int, str]
    """Of the layers that ever loop, the first to loop first."""

    @classmethod
    def of(cls, history: History, n_layers: int = 0) -> _Loops:
        records = history.of_type("depth") or [_nothing(n_layers)]
        passes = [[(1 + depth) * (1 + runs) for depth, runs in zip(record["depths"], record["runs"])]
                  for record in records]
        colours: dict[int, str] = {}
        for row in passes:
            for layer in reversed(range(len(row))):
                if row[layer] > 1 and layer not in colours:
                    colours[layer] = _LAYERS[len(colours) % len(_LAYERS)]
        return cls(np.array([record["step"] for record in records], dtype=np.int64), passes,
                   [record["heads"] for record in records], [record["runs"] for record in records],
                   colours)

    def kept(self, end: int) -> list[tuple[int, int, int, int]]:
        """Every (layer, head, first step, last step) of a head in a loop."""
        found = []
        for layer in self.colours:
            for head in sorted({head for heads in self.heads for head in heads[layer]}):
                inside = [head in heads[layer] for heads in self.heads] + [False]
                steps = [*(int(step) for step in self.steps), end]
                for i, now in enumerate(inside):
                    if now and not (i and inside[i - 1]):
                        last = next(j for j in range(i, len(inside)) if not inside[j])
                        found.append((layer, head, steps[i], steps[last]))
        return found

    def describe(self, layer: int) -> str:
        heads = self.heads[-1][layer]
        if self.blocks[-1][layer]:
            return f"layer {layer}, whole block"
        listed = ", ".join(map(str, heads)) if len(heads) <= 8 else f"{len(heads)} of them"
        return f"layer {layer}, head{'s' if len(heads) != 1 else ''} {listed}"


def _nothing(n_layers: int) -> Record:
    return {"step": 0, "depths": [0] * n_layers, "runs": [0] * n_layers, "heads": [[]] * n_layers}


def _draw_events(axes: Axes, history: History, *, named: bool = True) -> None:
    """A line for every growth event."""
    events = history.of_type("growth")
    colours = _Loops.of(history).colours
    for event in events:
        action, layer = event.get("action"), event.get("layer", -1)
        colour = _GREY if action == "fix" else colours.get(layer, _GREY)
        axes.axvline(event["step"], color=colour, linewidth=1, zorder=1,
                     linestyle=":" if action == "fix" else "--")
        text = growth_text(action, layer, event.get("depth"))
        if named and len(events) <= _MOST_LABELS:
            axes.annotate(text, (event["step"], 1), xycoords=("data", "axes fraction"),
                          xytext=(3, -2), textcoords="offset points", rotation=90, ha="left",
                          va="top", color=colour, fontsize=8.5)


# -- the entropy map --

def _collected(history: History) -> Kind | None:
    """The kind to show where none was asked for; None: there is none."""
    kinds: tuple[Kind, ...] = ("last", "mean")
    there = (kind for kind in kinds if np.isfinite(history.entropies(kind)[1]).any())
    return next(there, None)


def _missing(kind: Kind | None, other: Kind | None) -> str:
    if other is None:
        return "entropies were not collected"
    return f"{kind!r} was not collected; {other!r} was: kind={other!r}"


def _seen(steps: Int64, values: Float64, loops: _Loops) -> Float64:
    """(N, n_layers, n_heads): pass 0, or the last pass that ran of a head that loops by then."""
    shown = values[:, :, 0].copy()
    for layer, head, first, last in loops.kept(int(steps[-1])):
        inside = (steps > first) & (steps <= last)
        for row in values[inside, layer, :, head].T:
            shown[inside, layer, head] = np.where(np.isnan(row), shown[inside, layer, head], row)
    return shown


def _coarsen(steps: Int64, values: Float64) -> tuple[Int64, Float64]:
    """Means over groups of records, so that there are not many more columns than pixels."""
    size = math.ceil(len(steps) / _MOST_COLUMNS)
    if size <= 1:
        return steps, values
    starts = np.arange(0, len(steps), size)
    known = np.isfinite(values)
    count = np.add.reduceat(known, starts, axis=0, dtype=np.float64)
    total = np.add.reduceat(np.where(known, values, 0.0), starts, axis=0)
    return steps[starts], np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _draw_map(axes: Axes, steps: Int64, values: Float64, end: int) -> None:
    n_layers, n_heads = values.shape[1:]
    rows = n_layers * n_heads
    between = (steps[1:] + steps[:-1]) / 2 if len(steps) > 1 else np.array([])
    edges = np.concatenate([[0], between, [end]])
    known = values[np.isfinite(values)]
    low = math.floor(10 * np.quantile(known, 0.005)) / 10
    high = math.ceil(10 * np.quantile(known, 0.995)) / 10
    mesh = axes.pcolormesh(edges, np.arange(rows + 1), values.reshape(len(steps), rows).T,
                           cmap="cividis", vmin=low, vmax=max(high, low + 0.1), shading="flat",
                           rasterized=True)
    axes.set_facecolor("#ededed")
    axes.grid(False)
    axes.set_ylim(0, rows)
    axes.set_yticks(np.arange(n_layers) * n_heads + n_heads / 2)
    axes.set_yticklabels([f"layer {i}" for i in range(n_layers)])
    axes.tick_params(axis="y", length=0, labelsize=9.5 if n_layers <= 16 else 6)
    for layer in range(1, n_layers):
        axes.axhline(layer * n_heads, color="white", linewidth=1.4)
    figure: Any = axes.get_figure()
    bar = figure.colorbar(mesh, ax=axes, pad=0.03, aspect=28)
    bar.set_label("entropy, 1: all keys alike")
    bar.outline.set_visible(False)


def _mark_heads(axes: Axes, loops: _Loops, n_heads: int) -> None:
    """Outlines the rows of heads in a loop, and points at them from the right."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import blended_transform_factory

    edge = blended_transform_factory(axes.transAxes, axes.transData)
    end = float(axes.dataLim.x1)
    for layer, head, first, last in loops.kept(int(end)):
        row, colour = layer * n_heads + head, loops.colours[layer]
        if axes.get_ylim()[1] <= _MOST_OUTLINED:
            axes.add_patch(Rectangle((first, row + 0.06), last - first, 0.88, fill=False,
                                     edgecolor=colour, linewidth=1.8, zorder=3,
                                     path_effects=[withStroke(linewidth=3.6, foreground="white")]))
        axes.plot(1.008, row + 0.5, marker="<", color=colour, markersize=5, transform=edge,
                  clip_on=False, markeredgewidth=0)


# -- curves --

def _unit(history: History) -> tuple[float, str]:
    """What a loss in nats is multiplied with, and the name of the axis."""
    of_bytes = history.run.get("token") == "byte" or any(
        "bits_per_byte" in record for record in history.of_type("eval"))
    return (1 / math.log(2), "bits per byte") if of_bytes else (1.0, "loss, nats per token")


def _held_out(history: History) -> tuple[Int64, Float64]:
    """Held-out losses in nats."""
    steps, loss = history.series("loss", "eval")
    if len(steps):
        return steps, loss
    steps, bits = history.series("bits_per_byte", "eval")
    end = history.end.get("bits_per_byte")
    if end is not None:  # after the last step, on all of the held-out text
        steps, bits = np.append(steps, history.last_step), np.append(bits, end)
    return steps, bits * math.log(2)


def _smooth(values: Float64) -> Float64:
    """A moving mean over about a fiftieth of the run, shorter at both ends; NaN is left out."""
    half = len(values) // 100
    known = np.isfinite(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    at = np.arange(len(values))
    reach = np.minimum(half, np.minimum(at, len(values) - 1 - at))
    low, high = at - reach, at + reach + 1
    number = count[high] - count[low]
    return np.where(number > 0, (total[high] - total[low]) / np.maximum(number, 1), np.nan)


def _thin(steps: Int64, values: Float64) -> tuple[Int64, Float64]:
    """The lowest and highest value of each of many groups, where there are too many points."""
    size = 2 * math.ceil(len(steps) / _MOST_POINTS)
    if len(steps) <= _MOST_POINTS:
        return steps, values
    whole = len(steps) // size * size
    groups = values[:whole].reshape(-1, size)
    kept = np.sort(np.stack([np.where(np.isnan(groups), np.inf, groups).argmin(axis=1),
                             np.where(np.isnan(groups), -np.inf, groups).argmax(axis=1)], axis=1))
    at = np.append(np.unique(kept + np.arange(0, whole, size)[:, None]),
                   np.arange(whole, len(steps)))
    return steps[at], values[at]


def _zoom(axes: Axes, loss: Float64, smooth: Float64, held_out: Float64) -> None:
    """Leaves out the top of the fall at the very beginning, which would flatten all the rest."""
    late = smooth[len(smooth) // 50:]
    shown = np.concatenate([late[np.isfinite(late)], held_out[np.isfinite(held_out)]])
    known = loss[np.isfinite(loss)]
    if not len(shown) or not len(known):
        return
    low, high = min(float(np.quantile(known, 0.005)), shown.min()), float(shown.max())
    margin = 0.06 * (high - low) or 0.1
    axes.set_ylim(low - margin, high + margin)


# -- figures --

def _headline(history: History) -> str:
    run = history.run
    parts = ["Sparse Growing Transformer"]
    if "layers" in run and "heads" in run:
        parts.append(f"{run['layers']} layers of {run['heads']} heads")
    if "d_model" in run:
        parts.append(f"width {run['d_model']}")
    if "weights" in run:
        parts.append(f"{1e-6 * run['weights']:.2f} M weights")
    parts.append(f"{history.last_step} steps")
    steps, held_out = _held_out(history)
    if len(steps):
        scale, unit = _unit(history)
        name = "bits per byte" if unit == "bits per byte" else "nats per token"
        parts.append(f"held-out {held_out[-1] * scale:.3f} {name}")
    return "  ·  ".join(parts)


def _legend(axes: Axes) -> None:
    """Above the panel, to the right of its title, where no data can be."""
    entries = axes.get_legend_handles_labels()[1]
    if entries:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncol=len(entries),
                    borderaxespad=0.2)


def _finish(axes: Axes, history: History, y_label: str = "") -> None:
    axes.set_xlim(0, max(history.last_step, 1))
    axes.set_xlabel("optimizer step")
    if y_label:
        axes.set_ylabel(y_label)


def _say(axes: Axes, text: str) -> None:
    axes.annotate(text, (0.5, 0.5), xycoords="axes fraction", ha="center", va="center",
                  color=_GREY)
    axes.set_yticks([])


def _figure(size: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    layout: Any = figure.get_layout_engine()
    layout.set(w_pad=0.12, h_pad=0.12, wspace=0.02, hspace=0.02)
    return figure


def _two_colours() -> Any:
    """Cells that are not seen, and those that are."""
    from matplotlib.colors import ListedColormap

    return ListedColormap(["#f2f2f2", _LAYERS[0]])


def _ticker() -> Any:
    import matplotlib.ticker

    return matplotlib.ticker


def _style() -> Any:
    """matplotlib's settings for these pictures, for a with statement."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("libsgt.plot needs matplotlib: pip install matplotlib, or Debian's "
                          "python3-matplotlib") from error
    return matplotlib.rc_context(_STYLE)
