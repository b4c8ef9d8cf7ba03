# SPDX-License-Identifier: BSD-3-Clause
"""What a pass over a batch says: a loss that is a float."""
from __future__ import annotations

import math
from typing import Any, Optional

from ._arrays import Float32


class Loss(float):
    """The mean loss per target; 0 when there is no target.

    sum: of -ln p(target) over the targets, in double. count: targets that are not -1.
    """

    __slots__ = ("sum", "count")
    sum: float
    count: int

    def __new__(cls, sum: float, count: int) -> "Loss":
        loss = super().__new__(cls, sum / count if count else 0.0)
        loss.sum = sum
        loss.count = count
        return loss

    def __getnewargs__(self) -> Any:
        return (self.sum, self.count)

    @property
    def finite(self) -> bool:
        """False when the loss is NaN or infinite: the optimizer will skip the step."""
        return math.isfinite(self.sum)


class Evaluation(Loss):
    """A loss without gradients, with what else was asked for (else None).

    token_losses [B,T], 0 where the target is -1; logits [B,T,V]; last_logits [B,V], those of each
    sequence's last token.
    """

    __slots__ = ("token_losses", "logits", "last_logits")
    token_losses: Optional[Float32]
    logits: Optional[Float32]
    last_logits: Optional[Float32]

    def __new__(
        cls,
        sum: float,
        count: int,
        token_losses: Optional[Float32] = None,
        logits: Optional[Float32] = None,
        last_logits: Optional[Float32] = None,
    ) -> "Evaluation":
        self = super().__new__(cls, sum, count)
        assert isinstance(self, Evaluation)
        self.token_losses = token_losses
        self.logits = logits
        self.last_logits = last_logits
        return self

    def __getnewargs__(self) -> Any:
        return (self.sum, self.count, self.token_losses, self.logits, self.last_logits)
