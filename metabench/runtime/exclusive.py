"""Timing alone on the machine: while something is timed, every other cell waits at its next step.

Two locks of the kernel, which gives them back when a process ends however it ends. Whoever works holds the
*room* together with the others. Whoever times closes the *gate*, leaves the room, and waits until it has the
room to itself. At each step (:func:`give_way`) a worker that finds the gate closed leaves the room until it
is open again. Nobody waits at the gate while holding the room, so nobody waits for ever; and a worker that
takes too long to come to its next step is not waited for.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":  # there, nobody waits for anybody
    import fcntl

PATIENCE_SECONDS = 20.0
"""How long the others are waited for. An outer step takes milliseconds, a batch of attacks some seconds."""

_POLL_SECONDS = 0.002


class Room:
    """The room and its gate, as one process sees them.

    Args:
        folder: where the two lock files are; every process of this user on this machine shares them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._room = self._gate = self._owner = -1
        self._inside = False
        self._timing = False
        self._undisturbed = False

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Inside, nobody else times anything but between two steps of this process."""
        if self._inside or not self._open():
            yield
            return
        self._enter()
        self._inside = True
        try:
            yield
        finally:
            self._inside = False
            self._unlock(self._room)

    def give_way(self) -> float:
        """Wait while somebody else times something; called between two steps.

        Returns:
            The seconds that were waited.
        """
        if not self._inside or self._timing:
            return 0.0
        if self._try(self._gate, shared=True):
            self._unlock(self._gate)
            return 0.0
        began = time.monotonic()
        self._unlock(self._room)
        self._enter()
        return time.monotonic() - began

    @contextlib.contextmanager
    def alone(self, patience: float = PATIENCE_SECONDS) -> Iterator[bool]:
        """Inside, every other process waits; gives whether it is so.

        Args:
            patience: seconds that the others are waited for, and that another who times is.
        """
        if self._timing:
            yield self._undisturbed
            return
        if not self._open():
            yield False
            return
        until = time.monotonic() + patience
        if self._inside:
            self._unlock(self._room)
        closed = self._wait(self._gate, until)
        empty = closed and self._wait(self._room, until)
        self._timing, self._undisturbed = True, empty
        try:
            yield empty
        finally:
            self._timing = False
            self._unlock(self._room)
            if closed:
                self._unlock(self._gate)
            if self._inside:
                self._enter()

    def _enter(self) -> None:
        """Go through the gate into the room; somebody who times for long is not waited for for ever."""
        until = time.monotonic() + 2 * PATIENCE_SECONDS
        while not self._try(self._gate, shared=True) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        self._try(self._room, shared=True)
        self._unlock(self._gate)

    def _wait(self, lock: int, until: float) -> bool:
        while not self._try(lock, shared=False):
            if time.monotonic() > until:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _open(self) -> bool:
        if sys.platform == "win32":
            return False
        if self._owner == os.getpid():
            return True
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._folder.lstat().st_uid != os.getuid():
                return False
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._gate = os.open(self._folder / "gate.lock", flags, 0o600)
            self._room = os.open(self._folder / "room.lock", flags, 0o600)
        except OSError:
            return False
        self._owner = os.getpid()  # a forked child would share the locks of its parent
        self._inside = self._timing = False
        return True

    def _try(self, lock: int, *, shared: bool) -> bool:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(self, lock: int) -> None:
        if lock >= 0:
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_UN)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return str(os.getpid())


_here = Room(Path(tempfile.gettempdir()) / f"metabench-{_user()}")
working, give_way, alone = _here.working, _here.give_way, _here.alone
