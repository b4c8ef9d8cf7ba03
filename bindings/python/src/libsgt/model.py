# SPDX-License-Identifier: BSD-3-Clause
"""Models: passes over batches, parameters and gradients, the depth plan, entropies."""
from __future__ import annotations

import contextlib
import ctypes
import os
from ctypes import byref
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import numpy as np

from . import _enums, _structs
from ._arrays import Float32, Float64, Views, address, batch, floats, output, view
from ._handles import Guard, Handle, Owner
from ._library import lib
from ._messages import similar
from ._scalars import instance
from ._summary import summary
from ._text import Path, encoded_path
from .config import Flops, FlopsTotal, ModelConfig, SpecialTokens, count_flops, model_options
from .context import Context, context_or_new
from .errors import NotFoundError, StateError, call, call_for_file
from .loss import Evaluation, Loss
from .plan import Plan

_WEIGHT = _enums.PART["weight"]
_GRADIENT = _enums.PART["gradient"]
_HOW_TO_EDIT = (
    "model.plan is a copy, which is read-only: edit plan = model.plan.copy() and assign it, "
    "model.plan = plan"
)


class Model(Owner):
    """A decoder: weights, gradients, the current depth plan.

    config: its architecture. context: None makes one of its own. seed: of the weights, truncated
    normal of standard deviation ``std`` cut at ``cut`` deviations, norms one; None leaves zero
    weights. ``recompute``: keep only each block's input and run its forward again in backward: less
    memory and more work, equal bits. ``draw_seed``: of what parts draw in training forwards, whether
    a sparse feed-forward part is hard and the noise of its choices. Narrow models (d_model under
    about 512) learn faster with ``std`` up to 1 / sqrt(d_model). ``residual``, ``unit_scale``: as in
    ``init_weights``.

    Raises InvalidArgumentError and OutOfRangeError (the message names the field),
    SizeOverflowError, OutOfMemoryError, MemoryLimitError, BackendError.
    """

    def __init__(
        self,
        config: ModelConfig,
        context: Optional[Context] = None,
        *,
        recompute: bool = False,
        draw_seed: int = 0,
        seed: Optional[int] = 0,
        std: float = 0.02,
        cut: float = 3.0,
        residual: bool = False,
        unit_scale: bool = False,
    ) -> None:
        instance(config, (ModelConfig,), "config")
        context = context_or_new(context)
        options = model_options(recompute, draw_seed)
        pointer = ctypes.c_void_p()
        with context._guard.reading:
            call(
                lib.sgt_model_create,
                byref(pointer),
                context._pointer,
                byref(config._struct()),
                byref(options),
            )
            self._own(pointer.value, context)
        if seed is not None:
            self.init_weights(seed, std, cut, residual, unit_scale)

    def _own(self, pointer: Optional[int], context: Context) -> None:
        parent = context._owned
        self._handle = Handle(pointer, lib.sgt_model_free, parent.family, parent)
        self._guard = Guard(parent.family)
        self._context = context
        self._index: Dict[str, int] = {}
        self._shapes: List[Tuple[int, ...]] = []
        self._describe()
        self._forward_loss: Optional[Loss] = None  # of a forward that waits for its backward
        self._without_targets = False  # that forward
        self._forward_shape: Optional[Tuple[int, ...]] = None  # of its logits
        self._step_loss = Loss(0.0, 0)  # of the backwards since the last optimizer step
        self._last_step: Any = None  # (StepReport, Loss) of the last optimizer step
        self._collected: _enums.Collected = "none"

    def _describe(self) -> None:
        struct = _structs.sgt_model_config()
        call(lib.sgt_model_get_config, byref(struct), self._pointer)
        self._config = ModelConfig._from(struct)
        options = _structs.sgt_model_options()
        call(lib.sgt_model_get_options, byref(options), self._pointer)
        self._recompute = bool(options.recompute)
        self._draw_seed = int(options.seed)
        tensor = _structs.sgt_tensor_view()
        for i in range(lib.sgt_model_n_parameters(self._pointer)):
            call(lib.sgt_model_parameter, byref(tensor), self._pointer, i, _WEIGHT)
            self._index[tensor.name.decode()] = i
            self._shapes.append(tuple(tensor.shape[: tensor.rank]))
        self._names = tuple(self._index)
        self._n_weights = int(lib.sgt_model_n_weights(self._pointer))

    @classmethod
    def _adopt(cls, pointer: Optional[int], context: Context) -> "Model":
        """The owner of a model that the library made."""
        model = cls.__new__(cls)
        model._own(pointer, context)
        return model

    @classmethod
    def from_pretrained(
        cls,
        folder: Path,
        context: Optional[Context] = None,
        *,
        max_seq_len: int = 0,
        recompute: bool = False,
        draw_seed: int = 0,
        tie_missing_head: bool = False,
    ) -> "Model":
        """A model from a Hugging Face folder: a LLaMA, a Mistral, or of ``save_pretrained``.

        max_seq_len: instead of the folder's max_position_embeddings; 0: that. recompute, draw_seed:
        as in ``Model``. tie_missing_head: a
        head that is nowhere in the folder is the embedding, even where config.json does not say so
        (else that is a FormatError). Raises MissingFileError,
        FileError, FormatError, UnsupportedError (what this model does not do is named), and what
        ``Model`` raises.
        """
        context = context_or_new(context)
        of_model = model_options(recompute, draw_seed)
        options = _structs.sgt_hf_load_options(
            max_seq_len=max_seq_len, tie_missing_head=tie_missing_head
        )
        pointer = ctypes.c_void_p()
        with context._guard.reading:
            path = encoded_path(folder)
            call_for_file(
                lib.sgt_hf_load,
                byref(pointer),
                context._pointer,
                path,
                byref(of_model),
                byref(options),
            )
            return cls._adopt(pointer.value, context)

    def save_pretrained(
        self,
        folder: Path,
        *,
        dtype: _enums.SavedType = "float32",
        without_loops: bool = False,
        copy_from: Optional[Path] = None,
    ) -> None:
        """Writes model.safetensors and config.json; the folder is made when it is missing.

        With an empty plan, or without its loops, transformers reads it as a LlamaForCausalLM, or,
        where layers have the patterns "local:W" of one W or none, as a Mistral.
        dtype: "float32", "bfloat16" or "float16". copy_from: the folder of the model that was
        loaded; its tokenizer's files and generation_config.json are copied beside the weights.
        Raises FileError, MissingFileError (copy_from), OSError.
        """
        options = _structs.sgt_hf_save_options(
            dtype=_enums.number(_enums.SAVED_TYPE, dtype, "dtype"),
            without_loops=without_loops,
            copy_from=None if copy_from is None else encoded_path(copy_from),
        )
        os.makedirs(folder, exist_ok=True)
        with self._guard.reading:
            call_for_file(
                lib.sgt_hf_save, self._pointer, encoded_path(folder), byref(options)
            )

    def _about(self) -> str:
        config = self._config
        return (
            f"of {config.n_layers} layers, d_model {config.d_model}, {config.n_heads} heads, "
            f"vocab_size {config.vocab_size}, max_seq_len {config.max_seq_len}: "
            f"{self.n_weights} weights"
        )

    def summary(self) -> str:
        """A table of the parameters, with depth and cost: ``print(model.summary())``."""
        return summary(self)

    @property
    def config(self) -> ModelConfig:
        """The configuration with every default resolved."""
        return self._config

    @property
    def recompute(self) -> bool:
        """Whether backward runs the forward of each block again instead of keeping what it made."""
        return self._recompute

    @property
    def draw_seed(self) -> int:
        """The seed of what parts draw in training forwards."""
        return self._draw_seed

    def _special_tokens_of(self, handle: Handle) -> SpecialTokens:
        """Those of the C model, which a session keeps when this object is closed."""
        struct = _structs.sgt_special_tokens()
        with self._guard.reading:
            call(lib.sgt_model_get_special_tokens, byref(struct), handle.pointer)
        return SpecialTokens._from(struct)

    @property
    def special_tokens(self) -> SpecialTokens:
        """The ids of bos, eos and pad: what a folder or checkpoint told, or what was assigned.

        They go into checkpoints and ``save_pretrained``. Assigning None: none. Raises
        OutOfRangeError (more than 64 of eos).
        """
        return self._special_tokens_of(self._owned)

    @special_tokens.setter
    def special_tokens(self, tokens: Optional[SpecialTokens]) -> None:
        if tokens is not None:
            instance(tokens, (SpecialTokens,), "special_tokens")
        struct = (SpecialTokens() if tokens is None else tokens)._struct()
        with self._guard.writing:
            call(lib.sgt_model_set_special_tokens, self._pointer, byref(struct))

    @property
    def context(self) -> Context:
        """The context the model lives in."""
        return self._context

    def init_weights(
        self,
        seed: int = 0,
        std: float = 0.02,
        cut: float = 3.0,
        residual: bool = False,
        unit_scale: bool = False,
    ) -> None:
        """Draws all weights; the same seed gives the same weights for any number of threads.

        residual: output projections of attention and feed-forward parts get standard deviation
        std / sqrt(2 n_layers). unit_scale: that of a sparse feed-forward part starts sqrt(units)
        times larger, so that a hard part adds as much to the residual stream as a dense one.

        Raises OutOfRangeError, InvalidArgumentError.
        """
        options = _structs.sgt_model_init_options(
            residual=residual, seed=seed, std=std, cut=cut, unit_scale=unit_scale
        )
        with self._guard.writing:
            call(lib.sgt_model_init_weights, self._pointer, byref(options))

    # ---- passes over a batch ----

    def forward(self, tokens: Any, targets: Any = None) -> Loss:
        """Training forward over tokens [B,T]; targets [B,T], -1 is ignored.

        targets None: a forward that has no loss, and no backward. Any integer dtype; [T] is one sequence. Raises TypeError and ValueError (dtype, shape),
        OutOfRangeError (length; a token or target, with its position), OutOfMemoryError,
        MemoryLimitError, BackendError, Stopped.
        """
        inputs, outputs = batch(tokens, targets)
        metrics = _structs.sgt_metrics()
        with self._guard.writing:
            given = _batch_struct(inputs, outputs)
            call(lib.sgt_model_forward, byref(metrics), self._pointer, byref(given))
            loss = Loss(metrics.loss_sum, metrics.count)
            self._forward_loss, self._forward_shape = loss, None
            self._without_targets = outputs is None
            return loss

    def backward(self, scale: Optional[float] = None) -> None:
        """Adds ``scale`` times the gradient of the sum of losses of the last forward.

        scale None: 1 / count, the gradient of the mean. For several micro-batches per step give 1 /
        (all their targets). Raises StateError (no forward with targets before it; once per
        forward), Stopped, BackendError; gradients are invalid after the last two.
        """
        with self._guard.writing:
            loss = self._forward_loss
            if loss is not None and self._without_targets:
                raise StateError(
                    "backward needs a loss, and the forward before it had no targets: give them "
                    "to model.forward(tokens, targets), or use forward_logits and backward_logits"
                )
            if scale is None:
                scale = 1.0 / loss.count if loss is not None and loss.count else 1.0
            call(lib.sgt_model_backward, self._pointer, scale, None)
            self._forward_loss = None
            if loss is not None:
                total = self._step_loss
                self._step_loss = Loss(total.sum + loss.sum, total.count + loss.count)

    def zero_gradients(self) -> None:
        """Sets all gradients to zero and makes them valid; gives an unfinished step up."""
        with self._guard.writing:
            call(lib.sgt_model_zero_gradients, self._pointer)
            self._step_loss = Loss(0.0, 0)

    def _forget_step(self) -> None:
        """When weights and gradients are others than those of the last passes."""
        self._forward_loss = self._forward_shape = self._last_step = None
        self._step_loss = Loss(0.0, 0)

    def forward_logits(self, tokens: Any, *, out: Optional[Float32] = None) -> Float32:
        """Training forward up to the logits, float32 [B,T,V], for a loss of one's own.

        out: a dense float32 array of that shape to write them to, and to return; None: a new one.
        Errors as ``forward``, for ``out`` too.
        """
        inputs, _ = batch(tokens, None)
        shape = inputs.shape + (self._config.vocab_size,)
        result = output(out, shape)
        logits = _structs.sgt_tensor_view()
        with self._guard.writing:
            given = _batch_struct(inputs, None)
            call(lib.sgt_model_forward_logits, byref(logits), self._pointer, byref(given))
            self._forward_loss, self._forward_shape = None, shape
            call(lib.sgt_model_read_logits, address(result), result.size, self._pointer)
            return result

    def backward_logits(self, dlogits: Any) -> None:
        """Adds the gradients that follow from dLoss/dlogits [B,T,V] of the last forward_logits.

        Raises ValueError (shape), StateError, Stopped, BackendError.
        """
        with self._guard.writing:
            if self._forward_shape is None:
                raise StateError("backward_logits needs a forward_logits before it")
            values = floats(dlogits, self._forward_shape, "dlogits")
            call(lib.sgt_model_backward_logits, self._pointer, address(values), None)
            self._forward_shape = None

    def evaluate(
        self,
        tokens: Any,
        targets: Any = None,
        *,
        token_losses: bool = False,
        logits: bool = False,
        last_logits: bool = False,
    ) -> Evaluation:
        """The loss without gradients; keeps nothing, observes nothing, runs in several threads.

        Ask for what else is wanted, see ``Evaluation``. Errors as ``forward``.
        """
        inputs, outputs = batch(tokens, targets)
        vocabulary = self._config.vocab_size
        losses = np.empty(inputs.shape, np.float32) if token_losses else None
        every = np.empty(inputs.shape + (vocabulary,), np.float32) if logits else None
        last = np.empty((inputs.shape[0], vocabulary), np.float32) if last_logits else None
        options = _structs.sgt_model_evaluate_options(
            token_losses=address(losses), logits=address(every), last_logits=address(last)
        )
        metrics = _structs.sgt_metrics()
        given = _batch_struct(inputs, outputs)
        with self._guard.reading:
            call(
                lib.sgt_model_evaluate,
                byref(metrics),
                self._pointer,
                byref(given),
                byref(options),
            )
        return Evaluation(metrics.loss_sum, metrics.count, losses, every, last)

    # ---- parameters ----

    @property
    def names(self) -> Tuple[str, ...]:
        """The names of all parameters, those of Hugging Face's LLaMA; matrices are [out, in]."""
        return self._names

    @property
    def n_weights(self) -> int:
        """How many numbers the parameters hold together."""
        return self._n_weights

    @property
    def parameters(self) -> Mapping[str, Float32]:
        """Read-only views of all weights by name."""
        return Views(self._names, self._shapes, self.parameter)

    @property
    def gradients(self) -> Mapping[str, Float32]:
        """Views of all gradients by name, which may be written."""
        return Views(self._names, self._shapes, self.gradient)

    def parameter(self, name: str, *, writable: bool = False) -> Float32:
        """A zero-copy view of a weight; it keeps the weights alive, even after ``close``.

        Whoever writes through it calls ``weights_changed`` afterwards (``writable_parameters``
        does). Raises NotFoundError, BufferError (memory that the host cannot see).
        """
        return self._tensor(name, _WEIGHT, writable)

    def gradient(self, name: str) -> Float32:
        """A zero-copy view of a gradient. Raises StateError before the first forward."""
        return self._tensor(name, _GRADIENT, True)

    @contextlib.contextmanager
    def writable_parameters(self) -> Iterator[Mapping[str, Float32]]:
        """Views of all weights that may be written; the library is told at the end.

        After an exception too: some may be written by then.
        """
        owned = self._owned  # sessions read these weights even when the model is closed by then
        try:
            yield Views(self._names, self._shapes, lambda name: self.parameter(name, writable=True))
        finally:
            with self._guard.writing:
                call(lib.sgt_model_weights_changed, owned.pointer)

    def read_parameter(self, name: str) -> Float32:
        """A copy of a weight; works for every backend."""
        return self._read(name, _WEIGHT)

    def write_parameter(self, name: str, values: Any) -> None:
        """Copies values of the weight's shape into it. Raises ValueError, NotFoundError."""
        self._write(name, _WEIGHT, values)

    def read_gradient(self, name: str) -> Float32:
        """A copy of a gradient. Raises StateError before the first forward."""
        return self._read(name, _GRADIENT)

    def write_gradient(self, name: str, values: Any) -> None:
        """Copies values of the gradient's shape into it."""
        self._write(name, _GRADIENT, values)

    def weights_changed(self) -> None:
        """Says that weights were written through views."""
        with self._guard.writing:
            call(lib.sgt_model_weights_changed, self._pointer)

    @property
    def generation(self) -> int:
        """A counter that grows with every change of weights."""
        with self._guard.reading:
            return int(lib.sgt_model_generation(self._pointer))

    def _number(self, name: str) -> int:
        try:
            return self._index[name]
        except KeyError:
            near = similar(name, self._names)
            raise NotFoundError(f"there is no parameter {name!r}{near}") from None

    def _tensor(self, name: str, part: int, writable: bool) -> Float32:
        tensor = _structs.sgt_tensor_view()
        with self._guard.reading:
            call(lib.sgt_model_parameter, byref(tensor), self._pointer, self._number(name), part)
            return view(tensor, self._owned, writable)

    def _read(self, name: str, part: int) -> Float32:
        index = self._number(name)
        values = np.empty(self._shapes[index], np.float32)
        with self._guard.reading:
            call(
                lib.sgt_model_read_parameter,
                address(values),
                values.size,
                self._pointer,
                index,
                part,
            )
        return values

    def _write(self, name: str, part: int, values: Any) -> None:
        index = self._number(name)
        given = floats(values, self._shapes[index], name)
        with self._guard.writing:
            call(
                lib.sgt_model_write_parameter,
                self._pointer,
                index,
                part,
                address(given),
                given.size,
            )

    # ---- depth ----

    @property
    def plan(self) -> Plan:
        """A read-only copy of the current plan; to change it, edit a copy and assign that.

            plan = model.plan.copy()
            plan.set_depth(1, 1)
            model.plan = plan

        A change forbids the backward of an earlier forward. Assigning raises InvalidArgumentError
        (shape), OutOfMemoryError and MemoryLimitError (the old plan stays).
        """
        pointer = ctypes.c_void_p()
        with self._guard.reading:
            call(lib.sgt_plan_clone, byref(pointer), lib.sgt_model_plan(self._pointer))
            return Plan._adopt(pointer.value, self._owned.parent, _HOW_TO_EDIT)

    @plan.setter
    def plan(self, plan: Plan) -> None:
        instance(plan, (Plan,), "plan")
        with self._guard.writing, plan._guard.reading:
            call(lib.sgt_model_set_plan, self._pointer, plan._pointer)

    def n_passes(self, layer: int) -> int:
        """Passes of a layer in one forward: (1 + extra runs) * (1 + depth); 0 when not there."""
        with self._guard.reading:
            return int(lib.sgt_model_n_passes(self._pointer, layer))

    def depths_and_runs(self) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
        """Extra passes and extra runs of every layer, without a copy of the plan."""
        with self._guard.reading:
            plan = lib.sgt_model_plan(self._pointer)
            layers = range(self._config.n_layers)
            return (
                tuple(lib.sgt_plan_depth(plan, i) for i in layers),
                tuple(lib.sgt_plan_extra_runs(plan, i) for i in layers),
            )

    def collect_entropy(self, kinds: _enums.Collected) -> None:
        """What training forwards collect: "none", "last", "mean" or "both".

        A growth policy that is attached adds what it needs.
        """
        number = _enums.number(_enums.ENTROPY, kinds, "kinds")
        with self._guard.writing:
            call(lib.sgt_model_collect_entropy, self._pointer, number)
            self._collected = kinds

    def entropies(self, kind: _enums.Kind = "last") -> Float64:
        """The normalised entropies of the last step, [n_layers, max_passes, n_heads], a copy.

        NaN for a head that did not run and for passes that a layer does not have. They stay
        readable after the optimizer step until the next training forward. Raises StateError (this
        kind was not collected).
        """
        number = _enums.number(_enums.ENTROPY, kind, "kind")
        layers, heads = self._config.n_layers, self._config.n_heads
        with self._guard.reading:
            pointer = self._pointer
            passes = [lib.sgt_model_n_passes(pointer, layer) for layer in range(layers)]
            values = np.full((layers, max(passes), heads), np.nan)
            start = address(values)
            assert start is not None
            for layer, count in enumerate(passes):
                for pass_ in range(count):
                    row = start + layer * values.strides[0] + pass_ * values.strides[1]
                    call(lib.sgt_model_get_entropies, row, pointer, layer, pass_, number)
        return values

    # ---- cost ----

    def flops(
        self,
        seq: int = 0,
        *,
        loops: _enums.FlopsLoops = "now",
        full_square: bool = False,
        phase: _enums.FlopsPhase = "forward",
    ) -> Flops:
        """FLOPs of one token under the current plan, see ``count_flops``."""
        return count_flops(
            self._config,
            self.plan,
            seq=seq,
            loops=loops,
            full_square=full_square,
            phase=phase,
        )

    @property
    def flops_total(self) -> FlopsTotal:
        """The running total of this model's training."""
        total = _structs.sgt_flops_total()
        with self._guard.reading:
            call(lib.sgt_model_get_flops, byref(total), self._pointer)
        return FlopsTotal(total.executed, total.vanilla, total.overhead)


def _batch_struct(inputs: Any, outputs: Any) -> Any:
    return _structs.sgt_batch(
        batch=inputs.shape[0],
        seq=inputs.shape[1],
        tokens=address(inputs),
        targets=address(outputs),
    )
