"""A process of a sealed cell that waits for the other keeps no cell from timing something."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metabench.running.sealing import client, scorer, service, worker
from metabench.running.sealing.channel import ChannelClosed
from metabench.running.sealing.client import RemoteModel
from metabench.runtime.exclusive import TimingLock
from tests.helpers.cells import blobs, tasks_of
from tests.running.sealing.test_client import DECLARED, PROBLEM

WAITS: dict[str, tuple[Any, Callable[[Any, Any], object]]] = {
    "training": (
        scorer,
        lambda channel, tasks: scorer._follow_training(tasks, (), channel, print, None),
    ),
    "predictions": (
        client,
        lambda channel, tasks: RemoteModel(channel, PROBLEM, DECLARED).ask("exit"),
    ),
    "requests": (service, lambda channel, tasks: service.serve(channel, None, tasks.device)),
    "data": (worker, lambda channel, tasks: worker._data_digest(channel)),
}


@pytest.mark.parametrize("what", WAITS)
def test_the_lock_is_free_while_a_process_waits_for(
    planted, what: str, tmp_path: Path, monkeypatch
) -> None:
    module, wait = WAITS[what]
    lock, other = TimingLock(tmp_path), TimingLock(tmp_path)
    monkeypatch.setattr(module, "timing_lock", lock)
    alone = list[bool]()

    class Waiting:
        def send(self, *message: Any) -> None: ...

        def receive(self) -> None:
            with other.exclusive(patience=0.0) as exclusive:
                alone.append(exclusive)
            raise ChannelClosed

    with lock.shared(), pytest.raises(ChannelClosed):
        wait(Waiting(), tasks_of(planted, blobs()))
    with lock.shared(), other.exclusive(patience=0.0) as exclusive:
        assert not exclusive  # a reader that does not wait excludes it
    assert alone == [True]
