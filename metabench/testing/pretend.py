"""Seeing on a machine without a GPU that tensors of two devices would meet."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CROSSES = {"aten::_to_copy", "aten::copy_", "aten::index", "aten::index_put", "aten::index_put_"}
"""What may take tensors of two devices: copies, and indexing by numbers of the host's."""


class StrayTensor(Exception):
    """An operation took tensors of two devices."""


class OtherDevice(TorchDispatchMode):
    """Inside, an operation on tensors of two devices raises :class:`StrayTensor`, as a GPU would have it.

    The device ``meta`` lets some of them pass. A tensor of the host without dimensions may be mixed in.
    """

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation on tensors of one device.

        Raises:
            StrayTensor: they are of two.
        """
        kwargs = kwargs or {}
        if func._schema.name not in CROSSES:
            tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
            devices = {t.device.type for t in tensors if t.ndim or t.device.type != "cpu"}
            if len(devices) > 1:
                raise StrayTensor(
                    f"'{func._schema.name}' is given tensors on {' and '.join(sorted(devices))}: make new "
                    "ones where the inputs are (`device=support.x.device`), and keep others as buffers."
                )
        return func(*args, **kwargs)
