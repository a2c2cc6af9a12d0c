"""Processes that share the tasks of an outer step, on a CPU with several threads.

Tasks are independent, so a process needs nothing from the others but their gradients, while threads
that share every operation wait for each other at each. Measured in docs/performance.md.
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
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import NoReturn

import torch
from torch import Tensor, nn

from metabench.backbones.base import updates_buffers
from metabench.episodes import TaskBatch
from metabench.errors import CellFailed
from metabench.learning.outer_gradient.shard import Losses, TaskShard
from metabench.runtime.threads import one_thread

LEAST_VALUES = 10_000
"""Input values of an outer step for each process, below which waiting costs more than it saves.

An outer step on the sinusoid takes 1.9 ms in one process and 5 in two.
"""


def processes_for(module: nn.Module, batch: TaskBatch) -> int:
    """Returns the number of processes for outer steps on such batches: at most one a thread.

    It is 1 if running statistics would have to be merged, if there is too little work, on devices,
    and on systems other than Linux, whose libraries may not survive a fork.

    Args:
        module: The module with the parameters.
        batch: The tasks of an outer step.
    """
    on_cpu = not batch.support_x.is_cuda and all(
        p.device.type == "cpu" for p in module.parameters()
    )
    if sys.platform != "linux" or not on_cpu or updates_buffers(module):
        return 1
    values = batch.support_x.numel() + batch.query_x.numel()
    return max(1, min(torch.get_num_threads(), len(batch), values // LEAST_VALUES))


class SharedTasks:
    """Forked processes that each compute a shard of the tasks, with parameters in shared memory.

    Args:
        module: The module whose parameters are differentiated by; they are in shared memory until
            :meth:`close`.
        losses: The outer loss of each task.
        batch: A batch of the shape that all have.
        processes: The number of processes, this one included.
    """

    def __init__(self, module: nn.Module, losses: Losses, batch: TaskBatch, processes: int) -> None:
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        for p in self._parameters:
            p.data = _to_shared_memory(p.data)
        self._batch = batch.map(_to_shared_memory)
        bounds = [len(batch) * i // processes for i in range(processes + 1)]
        own, *others = (
            TaskShard(self._parameters, losses, self._batch[a:b], len(batch))
            for a, b in itertools.pairwise(bounds)
        )
        self._own = own
        self._workers: list[_Worker] = []
        try:
            for shard in others:
                self._workers.append(_Worker(shard, [w.connection for w in self._workers]))
        except OSError:  # the limit of processes is reached
            self.close()
            raise

    def __call__(self, batch: TaskBatch) -> Tensor:
        """Put the gradients into ``.grad`` and return the mean loss.

        Raises:
            CellFailed: If a process died.
        """
        self._batch.copy_(batch)
        for worker in self._workers:
            worker.start()
        with one_thread():  # the other cores are busy
            loss, gradients = self._own.gradients()
        for p, gradient in zip(self._parameters, gradients, strict=True):
            p.grad = gradient
        for worker in self._workers:
            loss = loss + worker.wait()
            for p, gradient in zip(self._parameters, worker.gradients, strict=True):
                p.grad = None if p.grad is None else p.grad + gradient
        return loss

    def close(self) -> None:
        """End the processes and move the parameters out of shared memory."""
        for worker in self._workers:
            worker.close()
        for p in self._parameters:
            p.data = p.data.clone()


class _Worker:
    """A forked process that computes its shard whenever it is told to.

    Args:
        shard: The shard.
        siblings: Connections to the workers before it. The fork closes its copies, so that those
            workers see this process end.

    Attributes:
        connection: Our end of the pipe.
        gradients: Shared memory that holds the gradients after :meth:`wait`.
    """

    def __init__(self, shard: TaskShard, siblings: Sequence[Connection]) -> None:
        self.gradients = [_to_shared_memory(torch.zeros_like(p.data)) for p in shard.parameters]
        self.connection, theirs = multiprocessing.Pipe()
        with warnings.catch_warnings():
            # Python warns because PyTorch's threads are running. The child does what PyTorch's
            # data loader does after its forks: it computes with one thread, which starts none.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            for ours in (*siblings, self.connection):
                ours.close()
            _serve(theirs, shard, self.gradients)
        theirs.close()

    def start(self) -> None:
        """Start computing."""
        with contextlib.suppress(BrokenPipeError):  # it died, which :meth:`wait` reports
            self.connection.send(True)

    def wait(self) -> float:
        """Wait for the gradients and return the contribution to the mean loss.

        Raises:
            CellFailed: If the process died.
        """
        try:
            result = self.connection.recv()
        except (EOFError, ConnectionResetError):
            raise CellFailed(
                "a process that shares the tasks of an outer step died.",
                hint="The kernel kills processes when memory runs out; "
                "--threads 1 runs all tasks in one process.",
            ) from None
        if isinstance(result, BaseException):
            raise result
        return float(result)

    def close(self) -> None:
        """Kill the process."""
        self.connection.close()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def _serve(connection: Connection, shard: TaskShard, gradients: Sequence[Tensor]) -> NoReturn:
    """Run a worker, which exits when the connection to its parent ends."""
    try:
        signal.set_wakeup_fd(-1)
        # A signal to the process group: the parent finishes its outer step before it exits.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        torch.set_num_threads(1)
        while connection.recv():
            connection.send(_compute(shard, gradients))
    except BaseException:
        pass  # the parent has exited, or sees that we do
    finally:
        os._exit(0)


def _compute(shard: TaskShard, gradients: Sequence[Tensor]) -> float | Exception:
    try:
        loss, computed = shard.gradients()
        for target, gradient in zip(gradients, computed, strict=True):
            if gradient is not None:
                target.copy_(gradient)
        return float(loss)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # an exception can hold anything
            return RuntimeError(traceback.format_exc())
        return error


def _to_shared_memory(tensor: Tensor) -> Tensor:
    """Copy a tensor to memory that forked processes share, with the same layout.

    The memory has no name: named shared memory is small in many a container.
    """
    if not tensor.numel():
        return tensor
    # First make a tensor dense whose elements overlap or leave gaps.
    dense = torch.empty_like(tensor).copy_(tensor)
    memory = mmap.mmap(-1, dense.numel() * dense.element_size())
    flat = torch.frombuffer(memory, dtype=dense.dtype, count=dense.numel())
    return flat.as_strided(dense.shape, dense.stride()).copy_(dense)
