"""Counting floating-point operations."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class FlopCounter(TorchDispatchMode):
    """Counts the floating-point operations of the code inside, forward and backward.

    They are those of matrix products, convolutions and attention, by the formulas of
    :mod:`torch.utils.flop_counter`.
    """

    # torch.utils.flop_counter.FlopCounterMode does the same, but also hooks every module, under
    # which some adaptations cannot be differentiated.

    total = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        # The packet stands for all overloads of an operation, as in PyTorch's own counter.
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.total += int(count(*args, **kwargs, out_val=out))
        return out
