"""Detect operations that mix devices, on a machine without a GPU."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MIXING_ALLOWED = {
    "aten::_to_copy",
    "aten::copy_",
    "aten::index",
    "aten::index_put",
    "aten::index_put_",
}
"""Operations that may take tensors of two devices: copies, and indexing with CPU indices."""


class MixedDevices(Exception):
    """Raised for an operation on tensors of two devices."""


class DeviceGuard(TorchDispatchMode):
    """Raises :class:`MixedDevices` for operations on tensors of two devices, as a GPU would.

    The device ``meta`` alone does not raise for all of them. CPU tensors without dimensions may be
    mixed in.
    """

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation after checking the devices of its tensors.

        Raises:
            MixedDevices: If they are on two devices.
        """
        kwargs = kwargs or {}
        if func._schema.name not in MIXING_ALLOWED:
            tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
            # PyTorch treats CPU tensors without dimensions as numbers, on every device.
            devices = {t.device.type for t in tensors if t.ndim or t.device.type != "cpu"}
            if len(devices) > 1:
                raise MixedDevices(
                    f"'{func._schema.name}' is given tensors on {' and '.join(sorted(devices))}: "
                    "make new tensors on the inputs' device (`device=support.x.device`), and "
                    "register others as buffers."
                )
        return func(*args, **kwargs)
