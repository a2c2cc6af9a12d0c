"""Deferral of SIGINT and SIGTERM to a point where the work can be saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DeferredInterrupts:
    """Defers SIGINT and SIGTERM inside a ``with`` block, until :meth:`deliver` or its end.

    A SIGINT while another signal waits is delivered at once. Outside the main thread, where Python
    allows no handlers, nothing is deferred.

    Args:
        wanted: Returns whether a signal that arrives now is deferred; otherwise it is delivered at
            once.

    Attributes:
        pending: The signal that waits, or ``None``.
    """

    def __init__(self, wanted: Callable[[], bool]) -> None:
        self.pending: int | None = None
        self._wanted = wanted
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> DeferredInterrupts:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.getsignal(number)
                # None: the handler is not Python's, and could not be restored.
                if before is not None and before != signal.SIG_IGN:
                    self._before[number] = before
                    signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()
        self.deliver()

    def deliver(self) -> None:
        """Raise the signal that waits, if there is one, with the handler of before the block."""
        if self.pending is not None:
            number, self.pending = self.pending, None
            self._restore()
            signal.raise_signal(number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # An impatient user presses Ctrl-C twice. A scheduler may send SIGTERM to a worker that the
        # run sends it to as well, and has SIGKILL for those that take too long.
        again = self.pending is not None and number == signal.SIGINT
        if self._wanted() and not again:
            self.pending = number
        else:
            self._restore()
            self.pending = None
            signal.raise_signal(number)

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
