# SPDX-License-Identifier: BSD-3-Clause
"""The growth policies of the library."""
from __future__ import annotations

from ctypes import byref
from typing import Any, Mapping, Sequence

from . import _enums, _structs
from ._arrays import address, listed
from ._library import lib
from ._scalars import instance
from .context import Context
from .errors import call
from .plan import Plan
from .policy import BuiltInPolicy


class SparseGrowth(BuiltInPolicy):
    """The policy of the paper (arXiv 2603.23998): deepest layers of high attention entropy first.

    top_k_layers: the candidates, by score. first_step: of the first selection. window: steps
    between decisions, and of a ramp. max_layers, max_depth: where growth ends. keep_heads: of a
    selected layer. ramp: "reference" (other heads fade out over the window, see fade: "linear",
    "cosine", "exponential"), "hard" (kept heads at once) or "warm" (they fade in). entropy: "last"
    or "mean". average: a of e <- a e + (1-a) E. direction: "deep_to_shallow" or
    "shallow_to_deep". head_choice: "highest", "lowest" or "random" (by seed). exclude: layers that
    are never selected. max_gain: of the heads of a loop, in (0,1]; small for a model that was
    trained already. groups: layer i is in group ``groups[i % len(groups)]``, and only layers of one
    group are compared by their entropies, the candidates being those of each group; ``[0, 1]`` for
    two kinds of blocks in turn whose patterns differ.
    """

    def __init__(
        self,
        *,
        top_k_layers: int = 3,
        first_step: int = 250,
        window: int = 250,
        max_layers: int = 3,
        max_depth: int = 1,
        keep_heads: int = 2,
        ramp: _enums.Ramp = "reference",
        fade: _enums.Fade = "linear",
        entropy: _enums.Kind = "last",
        average: float = 0.5,
        direction: _enums.Direction = "deep_to_shallow",
        head_choice: _enums.HeadChoice = "highest",
        seed: int = 0,
        exclude: Sequence[int] = (0,),
        max_gain: float = 1.0,
        groups: Sequence[int] = (),
    ) -> None:
        self.first_step = first_step
        self.window = window
        self._exclude = listed(exclude, "exclude")
        self._groups = listed(groups, "groups")
        self._options = _structs.sgt_growth_sparse_options(
            top_k_layers=top_k_layers,
            first_step=first_step,
            window=window,
            max_layers=max_layers,
            max_depth=max_depth,
            keep_heads=keep_heads,
            ramp=_enums.number(_enums.RAMP, ramp, "ramp"),
            fade=_enums.number(_enums.FADE, fade, "fade"),
            entropy=_enums.number(_enums.ENTROPY, entropy, "entropy"),
            average=average,
            direction=_enums.number(_enums.DIRECTION, direction, "direction"),
            head_choice=_enums.number(_enums.HEAD_CHOICE, head_choice, "head_choice"),
            seed=seed,
            exclude=address(self._exclude),
            n_exclude=self._exclude.size,
            max_gain=max_gain,
            groups=address(self._groups),
            n_groups=self._groups.size,
        )

    def _make(self, out: Any, context: Context, n_layers: int, n_heads: int) -> Any:
        options = byref(self._options)
        call(lib.sgt_growth_policy_sparse, out, context._pointer, n_layers, n_heads, options)


class NoGrowth(BuiltInPolicy):
    """Never changes anything."""

    def _make(self, out: Any, context: Context, n_layers: int, n_heads: int) -> Any:
        call(lib.sgt_growth_policy_none, out, context._pointer, n_layers, n_heads)


class StaticBlocks(BuiltInPolicy):
    """Whole blocks that run again from the start: ``{layer: extra runs}``."""

    def __init__(self, runs: Mapping[int, int]) -> None:
        self._layers = listed(runs.keys(), "layers")
        self._runs = listed(runs.values(), "runs")

    def _make(self, out: Any, context: Context, n_layers: int, n_heads: int) -> Any:
        call(
            lib.sgt_growth_policy_static_blocks,
            out,
            context._pointer,
            n_layers,
            n_heads,
            address(self._layers),
            address(self._runs),
            self._layers.size,
        )


class StaticPlan(BuiltInPolicy):
    """A given plan from the start."""

    def __init__(self, plan: Plan) -> None:
        instance(plan, (Plan,), "plan")
        self._plan = plan.copy()

    def _make(self, out: Any, context: Context, n_layers: int, n_heads: int) -> Any:
        with self._plan._guard.reading:
            pointer = self._plan._pointer
            call(lib.sgt_growth_policy_static_heads, out, context._pointer, pointer)
