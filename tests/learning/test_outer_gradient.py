import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metabench.algorithms.anil import ANIL
from metabench.algorithms.base import Algorithm
from metabench.algorithms.cavia import CAVIA
from metabench.algorithms.fomaml import FOMAML
from metabench.algorithms.maml import MAML
from metabench.algorithms.meta_lstm import MetaLSTM
from metabench.algorithms.meta_sgd import MetaSGD
from metabench.benchmarks.model import collect_benchmarks, load_suites
from metabench.episodes import TaskBatch
from metabench.errors import CellFailed
from metabench.learning.outer_gradient import shared as shared_tasks
from metabench.learning.outer_gradient.cuda_graph import CudaGraph, Step
from metabench.learning.outer_gradient.select import BackwardPass, OuterGradient
from metabench.learning.outer_gradient.shard import Gradients, Losses
from metabench.learning.outer_gradient.shared import SharedTasks, processes_for
from metabench.plugins import installed_plugins
from metabench.running.run_cell import Conditions, run_cell
from tests.helpers.cells import cell
from tests.helpers.gradient_kit import Tasks, build, classification, regression, train
from tests.helpers.threads import torch_threads

METHODS: list[tuple[type[Any], dict[str, Any]]] = [
    (MAML, {"inner_steps": 2}),
    (FOMAML, {"inner_steps": 2}),
    (ANIL, {}),
    (MetaSGD, {}),
    (CAVIA, {"context": 4}),
    (MetaLSTM, {"inner_steps": 2}),
]
QUIET = {"mirror": False}
linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere outer steps are not shared")


def options_of(cls: type[Any], options: dict[str, Any]) -> dict[str, Any]:
    return options | (QUIET if cls in (MAML, FOMAML, ANIL, MetaSGD) else {})


def batches(algorithm: Algorithm, count: int, tasks: int = 3) -> list[TaskBatch]:
    dtype = next(algorithm.parameters()).dtype
    return [Tasks(algorithm.problem, dtype, seed).test(tasks) for seed in range(count)]


def gradients(module: nn.Module) -> dict[str, Tensor | None]:
    return {
        name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()
    }


def unused(found: dict[str, Tensor | None]) -> set[str]:
    return {name for name, gradient in found.items() if gradient is None}


def assert_like_whole(algorithm: Any, engine: Any, some: list[TaskBatch]) -> None:
    """Whether an engine gives what one backward pass does, also when the parameters have moved."""
    whole = BackwardPass(algorithm, algorithm.query_losses)
    for batch in some:
        expected_loss = whole(batch)
        expected = gradients(algorithm)
        torch.testing.assert_close(engine(batch), expected_loss, rtol=1e-10, atol=1e-12)
        found = gradients(algorithm)
        assert {name for name, g in found.items() if g is None} == {
            n for n, g in expected.items() if g is None
        }
        for name, gradient in expected.items():
            if gradient is not None:
                torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-11)
        with torch.no_grad():
            for p in algorithm.parameters():
                p -= 0.1 * torch.ones_like(p) if p.grad is None else 0.1 * p.grad


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the smallest inputs were worth a process."""
    monkeypatch.setattr(shared_tasks, "LEAST_VALUES", 1)
    with torch_threads(2):
        yield


@linux
class TestShared:
    @pytest.mark.parametrize(
        ("cls", "options", "processes"), [*((*method, 2) for method in METHODS), (MAML, {}, 3)]
    )
    def test_processes_make_the_gradient_of_one(
        self, cls: type[Any], options: dict[str, Any], processes: int
    ) -> None:
        algorithm = build(cls, classification("conv"), **options_of(cls, options)).train()
        some = batches(algorithm, 3)
        engine = SharedTasks(algorithm, algorithm.query_losses, some[0], processes)
        try:
            assert_like_whole(algorithm, engine, some)
        finally:
            engine.close()

    def test_regression_too(self) -> None:
        algorithm = build(MAML, regression()).train()
        some = batches(algorithm, 2, tasks=5)
        engine = SharedTasks(algorithm, algorithm.query_losses, some[0], 2)
        assert_like_whole(algorithm, engine, some)
        engine.close()

    def test_a_whole_training_ends_where_one_process_ends(self, small: None) -> None:
        one, two = (build(MAML, classification("conv"), tasks=3, **QUIET) for _ in range(2))
        train(two, 4)
        with torch_threads(1):
            train(one, 4)
        for expected, found in zip(one.parameters(), two.parameters(), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)

    def test_another_shape_starts_other_processes(self, small: None) -> None:
        algorithm = build(MAML, classification("conv"), **QUIET).train()
        with OuterGradient(algorithm, algorithm.query_losses) as gradient:
            for tasks in (4, 4, 2):
                (batch,) = batches(algorithm, 1, tasks)
                loss = gradient(batch)
                assert isinstance(gradient.engine, SharedTasks)
                torch.testing.assert_close(loss, algorithm.query_losses(batch).mean().detach())

    def test_nothing_is_left_behind(self, small: None) -> None:
        algorithm = build(MAML, classification("conv"), **QUIET).train()
        before = [p.data_ptr() for p in algorithm.parameters()]
        with OuterGradient(algorithm, algorithm.query_losses) as gradient:
            gradient(batches(algorithm, 1)[0])
            assert len(children()) == 1
            inside = [p.data_ptr() for p in algorithm.parameters()]
        assert children() == []
        assert not set(inside) & {*before, *(p.data_ptr() for p in algorithm.parameters())}

    def test_a_process_that_dies_is_told(self, small: None) -> None:
        algorithm = build(MAML, classification("conv"), **QUIET).train()
        (batch,) = batches(algorithm, 1)
        with OuterGradient(algorithm, algorithm.query_losses) as gradient:
            gradient(batch)
            for pid in children():
                os.kill(pid, signal.SIGKILL)
            with pytest.raises(CellFailed, match="shares the tasks of an outer step died"):
                gradient(batch)
        assert children() == []

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_processes_end_with_the_one_that_started_them(
        self, small: None, tmp_path: Path
    ) -> None:
        """Even where that is killed, and has no time to end them."""
        algorithm = build(MAML, classification("conv"), **QUIET).train()
        (batch,) = batches(algorithm, 1)
        told = tmp_path / "helpers"
        leader = os.fork()
        if leader == 0:
            try:
                with (
                    torch_threads(3),
                    OuterGradient(algorithm, algorithm.query_losses) as gradient,
                ):
                    gradient(batch)
                    told.with_suffix(".new").write_text(" ".join(map(str, children())))
                    told.with_suffix(".new").rename(told)
                    time.sleep(60)
            finally:
                os._exit(0)
        until(told.exists)
        os.kill(leader, signal.SIGKILL)
        os.waitpid(leader, 0)
        helpers = [int(pid) for pid in told.read_text().split()]
        assert len(helpers) == 2
        until(lambda: not any(alive(pid) for pid in helpers))

    def test_an_error_in_a_process_is_the_error(self, small: None) -> None:
        algorithm = build(MAML, classification("conv"), **QUIET).train()
        here = os.getpid()

        def losses(batch: TaskBatch) -> Tensor:
            if os.getpid() != here:
                raise ValueError("planted")
            return algorithm.query_losses(batch)

        with (
            OuterGradient(algorithm, losses) as gradient,
            pytest.raises(ValueError, match="planted"),
        ):
            gradient(batches(algorithm, 1)[0])
        assert children() == []

    def test_a_cell_with_two_threads_scores_as_one_with_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared_tasks, "LEAST_VALUES", 1)
        started: list[int] = []
        start = SharedTasks.__init__

        def counted(
            self: SharedTasks, module: nn.Module, losses: Losses, batch: TaskBatch, processes: int
        ) -> None:
            started.append(processes)
            start(self, module, losses, batch, processes)

        monkeypatch.setattr(SharedTasks, "__init__", counted)
        registry = installed_plugins().registry
        glyphs = collect_benchmarks(load_suites(registry).values())["glyphs-5w1s"].quickened()
        what = cell(
            "maml",
            glyphs.model_copy(update={"metrics": ("accuracy",)}),
            budget=200,
            tasks=4,
            train_ways=5,
        )
        records = [run_cell(what, registry, Conditions(threads=threads)) for threads in (1, 2)]
        assert [r.status for r in records] == ["ok", "ok"], records
        assert started == [2]
        first, second = (r.metrics["accuracy"].mean for r in records)
        assert first == pytest.approx(second, abs=0.02)


class TestProcesses:
    def test_one_where_nobody_lends_any(self) -> None:
        algorithm = build(MAML, classification("conv"))
        assert processes_for(algorithm, batches(algorithm, 1)[0]) == 1

    @linux
    def test_as_many_as_are_lent_and_there_are_tasks(self, small: None) -> None:
        algorithm = build(MAML, classification("conv"))
        (batch,) = batches(algorithm, 1)
        assert processes_for(algorithm, batch) == 2
        with torch_threads(16):
            assert processes_for(algorithm, batch) == len(batch)

    def test_one_for_points_of_which_a_step_has_few(self) -> None:
        algorithm = build(MAML, regression())
        with torch_threads(2):
            assert processes_for(algorithm, batches(algorithm, 1, tasks=25)[0]) == 1

    def test_one_where_running_statistics_would_come_apart(self, small: None) -> None:
        algorithm = build(MAML, classification("conv"), norm="running")
        assert processes_for(algorithm, batches(algorithm, 1)[0]) == 1


def played(step: Step) -> Step:
    """What stands for a CUDA graph: the same tensors are written over by every replay."""
    loss, found = step()

    def replay() -> Gradients:
        new_loss, new = step()
        loss.copy_(new_loss)
        for old, fresh in zip(found, new, strict=True):
            if old is not None and fresh is not None:
                old.copy_(fresh)
        return loss, found

    return replay


class TestCudaGraph:
    @pytest.mark.parametrize(("cls", "options"), METHODS)
    def test_replays_make_the_gradient_of_one_backward_pass(
        self, cls: type[Any], options: dict[str, Any]
    ) -> None:
        algorithm = build(cls, classification("conv"), **options_of(cls, options)).train()
        some = batches(algorithm, 3)
        engine = CudaGraph(algorithm, algorithm.query_losses, some[0], capture=played)
        assert_like_whole(algorithm, engine, some)

    def test_a_loss_that_was_given_is_not_written_over(self) -> None:
        algorithm = build(MAML, classification("conv"), **QUIET).train()
        first, second = batches(algorithm, 2)
        engine = CudaGraph(algorithm, algorithm.query_losses, first, capture=played)
        loss = engine(first)
        kept = loss.clone()
        engine(second)
        assert torch.equal(loss, kept)

    def test_what_cannot_be_captured_runs_without(self) -> None:
        def refuse(step: Step) -> Step:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

        algorithm = build(MAML, classification("conv"), **QUIET).train()
        some = batches(algorithm, 2)
        engine = CudaGraph(algorithm, algorithm.query_losses, some[0], capture=refuse)
        assert engine.why_not == "operation not permitted when stream is capturing"
        assert_like_whole(algorithm, engine, some)

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
    @pytest.mark.parametrize(("cls", "options"), METHODS)
    def test_on_a_gpu(self, cls: type[Any], options: dict[str, Any]) -> None:
        algorithm = build(cls, classification("conv"), **options_of(cls, options)).cuda().train()
        some = [batch.to("cuda") for batch in batches(algorithm, 3)]
        engine = CudaGraph(algorithm, algorithm.query_losses, some[0])
        assert engine.why_not == ""
        assert_like_whole(algorithm, engine, some)


def until(come: Callable[[], bool]) -> None:
    """Wait until something has come about; fail where it does not."""
    deadline = time.monotonic() + 30
    while not come():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children() -> list[int]:
    """The processes that this one has started and that still live."""
    with open(f"/proc/self/task/{os.getpid()}/children") as pids:
        return [int(pid) for pid in pids.read().split()]
