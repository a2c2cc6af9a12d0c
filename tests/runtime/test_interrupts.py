"""Deferral of signals: one waits for a safe point, and none is lost."""

import signal
import threading
from collections.abc import Iterator

import pytest

from metabench.runtime.interrupts import SIGNALS, DeferredInterrupts


class Interrupted(Exception):
    """Raised by the handlers that are installed before the block."""


def handler(number: int, frame: object) -> None:
    raise Interrupted(number)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    yield
    assert {number: signal.getsignal(number) for number in SIGNALS} == dict.fromkeys(
        SIGNALS, handler
    )
    for number, old in before.items():
        signal.signal(number, old)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_until_it_is_delivered(number: signal.Signals) -> None:
    reached = []
    with (
        pytest.raises(Interrupted, match=str(int(number))),
        DeferredInterrupts(lambda: True) as interrupts,
    ):
        interrupts.deliver()
        signal.raise_signal(number)
        reached.append(interrupts.pending)
        interrupts.deliver()
        reached.append("after")
    assert reached == [number]


def test_a_signal_that_nobody_delivers_is_delivered_at_the_end() -> None:
    reached = False
    with pytest.raises(Interrupted), DeferredInterrupts(lambda: True):
        signal.raise_signal(signal.SIGTERM)
        reached = True
    assert reached


@pytest.mark.parametrize("first", SIGNALS)
def test_a_second_interrupt_is_delivered_at_once(first: signal.Signals) -> None:
    reached = 0
    with pytest.raises(Interrupted), DeferredInterrupts(lambda: True):
        signal.raise_signal(first)
        reached += 1
        signal.raise_signal(signal.SIGINT)
        reached += 1
    assert reached == 1


def test_a_second_sigterm_waits_as_the_first() -> None:
    reached = 0
    with pytest.raises(Interrupted), DeferredInterrupts(lambda: True):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        reached = 2
    assert reached == 2


def test_a_signal_that_is_not_wanted_is_delivered_at_once() -> None:
    reached = False
    with pytest.raises(Interrupted), DeferredInterrupts(lambda: False):
        signal.raise_signal(signal.SIGTERM)
        reached = True
    assert not reached


def test_an_ignored_signal_stays_ignored() -> None:
    """As in the background of a shell without job control."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with DeferredInterrupts(lambda: True) as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.pending is None
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    signal.signal(signal.SIGINT, handler)


def test_other_threads_change_no_handler() -> None:
    found = []

    def work() -> None:
        with DeferredInterrupts(lambda: True):
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [handler]
