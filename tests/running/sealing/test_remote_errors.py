"""Errors of the worker in the scorer."""

import pytest
import torch

from metabench.errors import CellFailed, DivergedError, MetabenchError, NotApplicable
from metabench.running.sealing.remote_errors import describe, rebuild


def raised(error: BaseException) -> BaseException:
    """Returns an error as the scorer gets it."""
    try:
        raise error
    except BaseException as caught:
        return rebuild(describe(caught))


@pytest.mark.parametrize("cls", [NotApplicable, DivergedError, CellFailed, MetabenchError])
def test_an_error_of_metabench_keeps_its_type_message_and_hint(cls: type[MetabenchError]) -> None:
    error = raised(cls("what was wrong.", hint="what to do"))
    assert type(error) is cls
    assert (error.message, error.hint) == ("what was wrong.", "what to do")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a"),
        ValueError("b"),
        KeyError("c"),
        MemoryError("d"),
        torch.OutOfMemoryError("e"),
        NotImplementedError("f"),
    ],
)
def test_another_error_can_be_caught_by_its_type(error: Exception) -> None:
    found = raised(error)
    assert isinstance(found, type(error))
    assert (type(found).__name__, str(found)) == (type(error).__name__, str(error))


def test_an_error_of_a_plugin_keeps_its_name() -> None:
    class Odd(RuntimeError):
        pass

    found = raised(Odd("x"))
    assert (type(found).__name__, str(found)) == ("Odd", "x")
    assert isinstance(found, RuntimeError)


def test_its_traceback_is_a_note() -> None:
    (note,) = raised(ValueError("x")).__notes__
    assert note.startswith("In the process of the algorithm:\nTraceback")
    assert "raise error" in note


def test_sys_exit_keeps_its_code() -> None:
    found = raised(SystemExit(7))
    assert isinstance(found, SystemExit)
    assert found.code == 7


def test_an_error_that_cannot_be_shown_is_described() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise TypeError

    assert str(raised(Silent())) == "(its message cannot be shown)"


def test_a_description_that_is_no_error_is_a_runtime_error_by_name() -> None:
    found = rebuild({})
    assert isinstance(found, RuntimeError)
