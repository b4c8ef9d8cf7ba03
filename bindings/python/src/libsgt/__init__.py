# SPDX-License-Identifier: BSD-3-Clause
"""Sparse Growing Transformers: the C library libsgt from Python.

    import libsgt as sgt

    model = sgt.Model(sgt.ModelConfig(vocab_size=256, d_model=192, n_layers=4, n_heads=6,
                                      d_ff=768, max_seq_len=256), std=0.05)
    for metrics in sgt.train(model, sgt.random_windows(tokens, batch=4, seq=256),
                             policy=sgt.SparseGrowth(), steps=1000):
        print(metrics.step, metrics.loss)

In the order in which one meets them:

    train           train, Training, StepMetrics, evaluate, random_windows, windows, History
    a model         ModelConfig, BlockConfig, Model, Loss, Evaluation, Optimizer, StepReport
    attention       AttentionPattern
    growth          SparseGrowth, NoGrowth, StaticBlocks, StaticPlan, Growth, GrowthEvent, Plan
    a policy        Policy, Observation
    keep            Checkpoint, CheckpointInfo, Restored; Model.from_pretrained, save_pretrained,
                    SpecialTokens
    use             Session, Sampler, Generation, Score, SessionMemory, Tokenizer
    cost            Flops, FlopsTotal, count_flops, MemoryEstimate, MemoryUsage
    what runs       Context, BackendInfo, load_backend, library_path, library_version
    errors          Error and its subclasses

``sgt.plot`` draws what happened; it needs matplotlib.
"""
from typing import TYPE_CHECKING, Any, List

from ._generating import Tokenizer
from ._library import VERSION as __version__
from ._library import library_path, library_version
from .checkpoint import Checkpoint, CheckpointInfo, Restored
from .config import BlockConfig, Flops, FlopsTotal, ModelConfig, SpecialTokens, count_flops
from .context import BackendInfo, Context, MemoryEstimate, MemoryUsage, load_backend
from .data import random_windows, windows
from .errors import (
    BackendError,
    ClosedError,
    Error,
    FileError,
    FormatError,
    GradientsInvalidError,
    InternalError,
    InvalidArgumentError,
    MemoryLimitError,
    MissingFileError,
    NotFoundError,
    OutOfMemoryError,
    OutOfRangeError,
    PluginError,
    SizeOverflowError,
    StateError,
    Stopped,
    StructSizeError,
    UnsupportedError,
    VersionError,
)
from .growth import Growth
from .history import History
from .loss import Evaluation, Loss
from .metrics import StepMetrics
from .model import Model
from .optimizer import Optimizer, StepReport
from .pattern import AttentionPattern
from .plan import Plan
from .policies import NoGrowth, SparseGrowth, StaticBlocks, StaticPlan
from .policy import GrowthEvent, Observation, Policy
from .sampler import Sampler
from .session import Generation, Score, Session, SessionMemory
from .training import Training, evaluate, train

if TYPE_CHECKING:
    from . import plot as plot

__all__ = [
    "AttentionPattern",
    "BackendError",
    "BackendInfo",
    "BlockConfig",
    "Checkpoint",
    "CheckpointInfo",
    "ClosedError",
    "Context",
    "Error",
    "Evaluation",
    "FileError",
    "Flops",
    "FlopsTotal",
    "FormatError",
    "Generation",
    "GradientsInvalidError",
    "Growth",
    "GrowthEvent",
    "History",
    "InternalError",
    "InvalidArgumentError",
    "Loss",
    "MemoryEstimate",
    "MemoryLimitError",
    "MemoryUsage",
    "MissingFileError",
    "Model",
    "ModelConfig",
    "NoGrowth",
    "NotFoundError",
    "Observation",
    "Optimizer",
    "OutOfMemoryError",
    "OutOfRangeError",
    "Plan",
    "PluginError",
    "Policy",
    "Restored",
    "Sampler",
    "Score",
    "Session",
    "SessionMemory",
    "SizeOverflowError",
    "SparseGrowth",
    "SpecialTokens",
    "StateError",
    "StaticBlocks",
    "StaticPlan",
    "StepMetrics",
    "StepReport",
    "Stopped",
    "StructSizeError",
    "Tokenizer",
    "Training",
    "UnsupportedError",
    "VersionError",
    "__version__",
    "count_flops",
    "evaluate",
    "library_path",
    "library_version",
    "load_backend",
    "random_windows",
    "train",
    "windows",
]


def __getattr__(name: str) -> Any:
    """``sgt.plot`` is imported where it is first used."""
    if name == "plot":
        from importlib import import_module

        return import_module(".plot", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted([*__all__, "__doc__", "plot"])
