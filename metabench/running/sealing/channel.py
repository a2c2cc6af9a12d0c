"""Messages between two processes over a pair of pipes: JSON and raw tensors."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

_LENGTH = struct.Struct("=Q")
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.bfloat16,
        torch.bool,
        torch.float16,
        torch.float32,
        torch.float64,
        torch.int64,
        torch.uint8,
    )
}
LARGEST_HEADER = 256 << 20
"""Bytes of the largest JSON part that is read; a record has a few megabytes at most."""

# Linux's largest size for ordinary users. With the default of 64 KiB a batch of twenty episodes,
# 5 MB, changes processes 80 times.
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


# Not an Exception: no metric may take the end of the other process for an error of its own.
class ChannelClosed(BaseException):
    """The other process has closed its end, or has ended."""


class MalformedMessage(ValueError):
    """A message is not of the expected form."""


@dataclass(frozen=True, eq=False)
class Message:
    """A message.

    Args:
        kind: What it is.
        values: Its values, which JSON can represent.
        tensors: Its tensors.
    """

    kind: str
    values: dict[str, Any] = field(default_factory=dict)
    tensors: Sequence[Tensor] = ()


class Channel:
    """A channel to another process.

    Nothing that is received is executed: unpickling a message would let the process of a plugin
    run code where the answers are.

    Args:
        read: A file descriptor to read from. The channel closes it.
        write: One to write to.
    """

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        with contextlib.suppress(OSError):  # other systems have no such call
            fcntl.fcntl(write, _F_SETPIPE_SZ, _PIPE_BYTES)

    def fileno(self) -> int:
        """Returns the descriptor that messages arrive at."""
        return self._read

    def send(self, kind: str, values: dict[str, Any] | None = None, *tensors: Tensor) -> None:
        """Send a message.

        Raises:
            ChannelClosed: If nobody reads it.
        """
        described = [[str(t.dtype).removeprefix("torch."), list(t.shape)] for t in tensors]
        header = json.dumps([kind, values or {}, described]).encode()
        try:
            self._write_all(memoryview(_LENGTH.pack(len(header)) + header))
            for tensor in tensors:
                self._write_all(_bytes_of(tensor.detach().to("cpu").contiguous()))
        except OSError as error:
            raise ChannelClosed from error

    def receive(self) -> Message:
        """Wait for the next message.

        Raises:
            ChannelClosed: If there is none and there will be none.
            MalformedMessage: If it is not of the expected form.
        """
        (length,) = _LENGTH.unpack(self._read_bytes(_LENGTH.size))
        if length > LARGEST_HEADER:
            raise MalformedMessage(f"a message begins with {length} bytes of JSON")
        try:
            kind, values, described = json.loads(self._read_bytes(length))
            tensors = [torch.empty(shape, dtype=_DTYPES[dtype]) for dtype, shape in described]
        except (ValueError, TypeError, KeyError, RuntimeError) as error:
            raise MalformedMessage(f"a message cannot be read: {error}") from error
        if not (isinstance(kind, str) and isinstance(values, dict)):
            raise MalformedMessage(f"a message has the kind {kind!r}")
        for tensor in tensors:
            self._read_into(_bytes_of(tensor))
        return Message(kind, values, tensors)

    def close(self) -> None:
        """Close both ends."""
        for descriptor in (self._read, self._write):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _write_all(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._write, data) :]

    def _read_bytes(self, length: int) -> bytes:
        buffer = bytearray(length)
        self._read_into(memoryview(buffer))
        return bytes(buffer)

    def _read_into(self, buffer: memoryview) -> None:
        while buffer:
            count = os.readv(self._read, [buffer])
            if count == 0:
                raise ChannelClosed
            buffer = buffer[count:]


def _bytes_of(tensor: Tensor) -> memoryview:
    """Returns the memory of a contiguous tensor on the CPU; NumPy alone lacks bfloat16."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data
