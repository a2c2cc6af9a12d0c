"""Outer steps whose tasks are shared among processes: for a machine with cores to spare.

The tasks of an outer step do not touch each other, so that a process a core needs no more from the others
than their gradients. Threads that share every single operation wait for each other at every one of them.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from multiprocessing.connection import Connection
from typing import NoReturn

import torch
from torch import Tensor, nn

from metabench.backbones.base import keeps_statistics
from metabench.episodes import TaskBatch
from metabench.errors import CellFailed
from metabench.learning.outer_gradient.shard import Losses, Part
from metabench.utils.scoped import scoped

LEAST_VALUES = 10_000
"""Input values that a process must have of each outer step, to be worth the waiting for it."""

_lent: ContextVar[int] = ContextVar("lent", default=1)


@contextlib.contextmanager
def lent_processes(count: int) -> Iterator[None]:
    """Inside, outer steps may be shared among so many processes, this one among them.

    Args:
        count: how many; 1 for this one alone.
    """
    with scoped(_lent, count):
        yield


def processes_for(module: nn.Module, batch: TaskBatch) -> int:
    """How many processes share the outer steps of such batches.

    One where running statistics would have to be brought together, where a process would have too little to
    do, and where a fork is not safe: the system's own libraries elsewhere than on Linux, and devices.

    Args:
        module: what has the parameters.
        batch: the tasks of an outer step.
    """
    on_cpu = (
        all(p.device.type == "cpu" for p in module.parameters()) and not batch.support_x.is_cuda
    )
    if sys.platform != "linux" or not on_cpu or keeps_statistics(module):
        return 1
    values = batch.support_x.numel() + batch.query_x.numel()
    return max(1, min(_lent.get(), len(batch), values // LEAST_VALUES))


class Shared:
    """Forked processes that take a part of the tasks each, on the same parameters in shared memory.

    Args:
        module: the parameters are its own; they lie in shared memory until :meth:`close`.
        losses: see :data:`metabench.learning.outer_gradient.shard.Losses`.
        batch: a batch of the shape that all have.
        processes: how many share it, this one among them.
    """

    def __init__(self, module: nn.Module, losses: Losses, batch: TaskBatch, processes: int) -> None:
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        for p in self._parameters:
            p.data = _shared(p.data)
        self._batch = batch.map(_shared)
        bounds = [len(batch) * i // processes for i in range(processes + 1)]
        parts = [self._batch[a:b] for a, b in itertools.pairwise(bounds)]
        self._own = Part(self._parameters, losses, parts[0], len(batch))
        self._helpers: list[_Helper] = []
        try:
            for part in parts[1:]:
                share = Part(self._parameters, losses, part, len(batch))
                self._helpers.append(_Helper(share, [helper.line for helper in self._helpers]))
        except OSError:  # no further process may be started
            self.close()
            raise

    def __call__(self, batch: TaskBatch) -> Tensor:
        """See :class:`metabench.learning.outer_gradient.select.Engine`.

        Raises:
            CellFailed: a process died.
        """
        self._batch.copy_(batch)
        for helper in self._helpers:
            helper.begin()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the other cores are busy
        try:
            loss, gradients = self._own.gradients()
        finally:
            torch.set_num_threads(threads)
        for p, gradient in zip(self._parameters, gradients, strict=True):
            p.grad = gradient
        for helper in self._helpers:
            loss = loss + helper.end()
            for p, slot in zip(self._parameters, helper.slots, strict=True):
                p.grad = None if p.grad is None else p.grad + slot
        return loss

    def close(self) -> None:
        """End the processes, and take the parameters out of shared memory."""
        for helper in self._helpers:
            helper.close()
        for p in self._parameters:
            p.data = p.data.clone()


class _Helper:
    """A forked process that works out one part whenever it is told to.

    Args:
        part: what it works out.
        others: the lines to the helpers before it, of which a copy would keep them from seeing us die.

    Attributes:
        line: our end of the pipe.
        slots: where its gradients lie when it has ended.
    """

    def __init__(self, part: Part, others: Sequence[Connection]) -> None:
        self.slots = [_shared(torch.zeros_like(p.data)) for p in part.parameters]
        self.line, theirs = multiprocessing.Pipe()
        with warnings.catch_warnings():
            # Python warns where PyTorch's threads are running. The child does what PyTorch's own data loader
            # does after its forks: it computes with one thread, which starts none and waits for none.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            for ours in (*others, self.line):
                ours.close()
            _live(theirs, part, self.slots)
        theirs.close()

    def begin(self) -> None:
        """Let it work."""
        with contextlib.suppress(BrokenPipeError):  # it died; :meth:`end` tells
            self.line.send(True)

    def end(self) -> float:
        """Wait for it.

        Returns:
            Its share in the mean loss.

        Raises:
            CellFailed: it died.
        """
        try:
            found = self.line.recv()
        except (EOFError, ConnectionResetError):
            raise CellFailed(
                "a process that shares the tasks of an outer step died.",
                hint="The kernel does that where memory runs out; --threads 1 runs all tasks in one process.",
            ) from None
        if isinstance(found, BaseException):
            raise found
        return float(found)

    def close(self) -> None:
        """End it, whatever it does."""
        self.line.close()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def _live(line: Connection, part: Part, slots: Sequence[Tensor]) -> NoReturn:
    """What a helper does. It never comes back, and ends when the line to its parent does."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and ends us
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        torch.set_num_threads(1)
        while line.recv():
            line.send(_worked_out(part, slots))
    except BaseException:
        pass  # the parent is gone, or will see that we are
    finally:
        os._exit(0)


def _worked_out(part: Part, slots: Sequence[Tensor]) -> float | Exception:
    try:
        loss, gradients = part.gradients()
        for slot, gradient in zip(slots, gradients, strict=True):
            if gradient is not None:
                slot.copy_(gradient)
        return float(loss)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # what an exception brings along can be anything
            return RuntimeError(traceback.format_exc())
        return error


def _shared(tensor: Tensor) -> Tensor:
    """A copy in memory that forked processes share, laid out alike.

    Memory of no file: shared memory with a name is small in many a container.
    """
    if not tensor.numel():
        return tensor
    # A tensor whose elements overlap, or leave gaps, is made dense first.
    dense = torch.empty_like(tensor).copy_(tensor)
    memory = mmap.mmap(-1, dense.numel() * dense.element_size())
    flat = torch.frombuffer(memory, dtype=dense.dtype, count=dense.numel())
    return flat.as_strided(dense.shape, dense.stride()).copy_(dense)
