"""Exclusive timing by a reader-writer file lock.

A cell holds the lock as a reader while it runs, and :class:`TimingLock` lets one process at a time
hold it as the writer while it measures a duration. Between two steps each reader checks whether a
writer waits, and if so releases the lock until the writer is done.
"""

# Not fasteners.InterProcessReaderWriterLock (0.20): it has no priority for writers, so the second
# lock file would stay; it opens the file on each call, 75 us for the check between two steps
# against 6 us here; and it uses POSIX record locks, which a process loses when it closes any other
# descriptor of the file, and which do not exclude two locks of one process.
from __future__ import annotations

import contextlib
import getpass
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":  # on Windows every method is a no-op: nothing pauses
    import fcntl

PATIENCE_SECONDS = 20.0
"""How long a writer waits for readers; a step takes milliseconds, a batch of attacks seconds."""

_POLL_SECONDS = 0.002


class TimingLock:
    """A reader-writer lock with priority for writers, shared by all processes of a user.

    Two ``flock`` locks make it up. Readers hold ``lock`` shared, a writer holds it exclusively. A
    writer first takes ``queue`` exclusively, which readers must take (shared, for a moment) before
    they take ``lock``; so no new reader can enter while a writer waits. No process waits for
    ``queue`` while it holds ``lock``, so there is no deadlock, and all waits have a time limit. The
    kernel releases both when a process ends, however it ends.

    Args:
        folder: The folder of the two lock files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = self._queue = self._owner = -1
        self._reading = False
        self._writing = False
        self._exclusive = False

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock as a reader: no other process times anything except between two steps."""
        if self._reading or not self._open():
            yield
            return
        self._enter()
        self._reading = True
        try:
            yield
        finally:
            self._reading = False
            self._release(self._lock)

    def yield_to_writers(self) -> float:
        """Pause while another process times something. A reader calls this between two steps.

        Returns:
            The seconds of the pause.
        """
        if not self._reading or self._writing:
            return 0.0
        if self._try(self._queue, shared=True):
            self._release(self._queue)
            return 0.0
        start = time.monotonic()
        self._release(self._lock)
        self._enter()
        return time.monotonic() - start

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """Release the lock of a reader while it waits for another process that is one."""
        if not self._reading or self._writing:
            yield
            return
        self._release(self._lock)
        try:
            yield
        finally:
            self._enter()

    @contextlib.contextmanager
    def exclusive(self, patience: float = PATIENCE_SECONDS) -> Iterator[bool]:
        """Hold the lock as the writer: every other process pauses. Nested calls share the lock.

        Args:
            patience: The seconds to wait for the readers, and for another writer.

        Yields:
            Whether the lock was obtained in time. If not, the block runs all the same.
        """
        if self._writing:
            yield self._exclusive
            return
        if not self._open():
            yield False
            return
        deadline = time.monotonic() + patience
        if self._reading:
            self._release(self._lock)
        queued = self._acquire(self._queue, deadline)
        self._exclusive = queued and self._acquire(self._lock, deadline)
        self._writing = True
        try:
            yield self._exclusive
        finally:
            self._writing = False
            self._release(self._lock)
            if queued:
                self._release(self._queue)
            if self._reading:
                self._enter()

    def _enter(self) -> None:
        """Become a reader, after at most twice the patience of a writer."""
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS
        while not self._try(self._queue, shared=True) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        self._try(self._lock, shared=True)
        self._release(self._queue)

    def _acquire(self, lock: int, deadline: float) -> bool:
        while not self._try(lock, shared=False):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)  # flock itself has no time limit
        return True

    def _open(self) -> bool:
        """Open the lock files of this process. Returns whether that is possible."""
        if sys.platform == "win32":
            return False
        if self._owner == os.getpid():
            return True
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # In /tmp another user could have made the folder, or a link in it.
            if self._folder.lstat().st_uid != os.getuid():
                return False
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._queue = os.open(self._folder / "queue.lock", flags, 0o600)
            self._lock = os.open(self._folder / "timing.lock", flags, 0o600)
        except OSError:
            return False
        # A forked child must open its own: it shares the locks of descriptors that it inherits.
        self._owner = os.getpid()
        self._reading = self._writing = False
        return True

    def _try(self, lock: int, *, shared: bool) -> bool:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _release(self, lock: int) -> None:
        if lock >= 0:
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_UN)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        return str(os.getpid())


timing_lock = TimingLock(Path(tempfile.gettempdir()) / f"metabench-{_user()}")
"""The lock of all cells that this user runs on this machine."""
