"""The outer gradient by shared processes and by a CUDA graph equals one backward pass."""

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
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shares outer steps")


def batches(algorithm: Algorithm, count: int, tasks: int = 3) -> list[TaskBatch]:
    dtype = next(algorithm.parameters()).dtype
    return [Tasks(algorithm.problem, dtype, seed).test(tasks) for seed in range(count)]


def gradients(module: nn.Module) -> dict[str, Tensor | None]:
    return {
        name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()
    }


def unused(found: dict[str, Tensor | None]) -> set[str]:
    return {name for name, gradient in found.items() if gradient is None}


def assert_same_gradient(algorithm: Any, engine: Any, some: list[TaskBatch]) -> None:
    """Compare an engine with one backward pass, also after the parameters have changed."""
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
def share_small_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Share the tasks of an outer step however small its inputs are."""
    monkeypatch.setattr(shared_tasks, "LEAST_VALUES", 1)
    with torch_threads(2):
        yield


@linux
class TestShared:
    @pytest.mark.parametrize(
        ("cls", "options", "processes"), [*((*method, 2) for method in METHODS), (MAML, {}, 3)]
    )
    def test_processes_give_the_gradient_of_one_process(
        self, cls: type[Any], options: dict[str, Any], processes: int
    ) -> None:
        algorithm = build(cls, classification("conv"), **options).train()
        some = batches(algorithm, 3)
        engine = SharedTasks(algorithm, algorithm.query_losses, some[0], processes)
        try:
            assert_same_gradient(algorithm, engine, some)
        finally:
            engine.close()

    def test_processes_give_the_gradient_of_one_process_in_regression(self) -> None:
        algorithm = build(MAML, regression()).train()
        some = batches(algorithm, 2, tasks=5)
        engine = SharedTasks(algorithm, algorithm.query_losses, some[0], 2)
        assert_same_gradient(algorithm, engine, some)
        engine.close()

    def test_meta_training_ends_with_the_parameters_of_one_process(
        self, share_small_batches: None
    ) -> None:
        one, two = (build(MAML, classification("conv"), tasks=3) for _ in range(2))
        train(two, 4)
        with torch_threads(1):
            train(one, 4)
        for expected, found in zip(one.parameters(), two.parameters(), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)

    def test_a_batch_of_another_shape_starts_new_processes(self, share_small_batches: None) -> None:
        algorithm = build(MAML, classification("conv")).train()
        with OuterGradient(algorithm, algorithm.query_losses) as gradient:
            for tasks in (4, 4, 2):
                (batch,) = batches(algorithm, 1, tasks)
                loss = gradient(batch)
                assert isinstance(gradient.engine, SharedTasks)
                torch.testing.assert_close(loss, algorithm.query_losses(batch).mean().detach())

    def test_closing_ends_the_processes_and_their_shared_memory(
        self, share_small_batches: None
    ) -> None:
        algorithm = build(MAML, classification("conv")).train()
        before = [p.data_ptr() for p in algorithm.parameters()]
        with OuterGradient(algorithm, algorithm.query_losses) as gradient:
            gradient(batches(algorithm, 1)[0])
            assert len(children()) == 1
            inside = [p.data_ptr() for p in algorithm.parameters()]
        assert children() == []
        assert not set(inside) & {*before, *(p.data_ptr() for p in algorithm.parameters())}

    def test_a_killed_process_fails_the_cell(self, share_small_batches: None) -> None:
        algorithm = build(MAML, classification("conv")).train()
        (batch,) = batches(algorithm, 1)
        with OuterGradient(algorithm, algorithm.query_losses) as gradient:
            gradient(batch)
            for pid in children():
                os.kill(pid, signal.SIGKILL)
            with pytest.raises(CellFailed, match="shares the tasks of an outer step died"):
                gradient(batch)
        assert children() == []

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_processes_exit_with_the_process_that_started_them(
        self, share_small_batches: None, tmp_path: Path
    ) -> None:
        """A killed process cannot end them itself."""
        algorithm = build(MAML, classification("conv")).train()
        (batch,) = batches(algorithm, 1)
        pid_file = tmp_path / "helpers"
        leader = os.fork()
        if leader == 0:
            try:
                with (
                    torch_threads(3),
                    OuterGradient(algorithm, algorithm.query_losses) as gradient,
                ):
                    gradient(batch)
                    pid_file.with_suffix(".new").write_text(" ".join(map(str, children())))
                    pid_file.with_suffix(".new").rename(pid_file)
                    time.sleep(60)
            finally:
                os._exit(0)
        wait_until(pid_file.exists)
        os.kill(leader, signal.SIGKILL)
        os.waitpid(leader, 0)
        helpers = [int(pid) for pid in pid_file.read_text().split()]
        assert len(helpers) == 2
        wait_until(lambda: not any(is_running(pid) for pid in helpers))

    def test_an_error_in_a_process_is_raised(self, share_small_batches: None) -> None:
        algorithm = build(MAML, classification("conv")).train()
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

    def test_a_cell_has_the_same_score_with_one_and_two_threads(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared_tasks, "LEAST_VALUES", 1)
        started: list[int] = []
        start = SharedTasks.__init__

        def counting(
            self: SharedTasks, module: nn.Module, losses: Losses, batch: TaskBatch, processes: int
        ) -> None:
            started.append(processes)
            start(self, module, losses, batch, processes)

        monkeypatch.setattr(SharedTasks, "__init__", counting)
        registry = installed_plugins().registry
        glyphs = collect_benchmarks(load_suites(registry).values())["glyphs-5w1s"].quickened()
        maml_cell = cell(
            "maml",
            glyphs.model_copy(update={"metrics": ("accuracy",)}),
            budget=200,
            tasks=4,
        )
        records = [run_cell(maml_cell, registry, Conditions(threads=threads)) for threads in (1, 2)]
        assert [r.status for r in records] == ["ok", "ok"], records
        assert started == [2]
        assert records[0].training.flops == records[1].training.flops
        first, second = (r.metrics["accuracy"].mean for r in records)
        assert first == pytest.approx(second, abs=0.02)


class TestProcesses:
    def test_one_thread_gives_one_process(self) -> None:
        algorithm = build(MAML, classification("conv"))
        assert processes_for(algorithm, batches(algorithm, 1)[0]) == 1

    @linux
    def test_processes_are_as_many_as_threads_and_at_most_as_many_as_tasks(
        self, share_small_batches: None
    ) -> None:
        algorithm = build(MAML, classification("conv"))
        (batch,) = batches(algorithm, 1)
        assert processes_for(algorithm, batch) == 2
        with torch_threads(16):
            assert processes_for(algorithm, batch) == len(batch)

    def test_a_batch_with_few_values_gives_one_process(self) -> None:
        algorithm = build(MAML, regression())
        with torch_threads(2):
            assert processes_for(algorithm, batches(algorithm, 1, tasks=25)[0]) == 1

    def test_running_statistics_give_one_process(self, share_small_batches: None) -> None:
        algorithm = build(MAML, classification("conv"), norm="running")
        assert processes_for(algorithm, batches(algorithm, 1)[0]) == 1


def emulate_capture(step: Step) -> Step:
    """Emulate a CUDA graph: every replay overwrites the same tensors."""
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
    def test_replays_give_the_gradient_of_one_backward_pass(
        self, cls: type[Any], options: dict[str, Any]
    ) -> None:
        algorithm = build(cls, classification("conv"), **options).train()
        some = batches(algorithm, 3)
        engine = CudaGraph(algorithm, algorithm.query_losses, some[0], capture=emulate_capture)
        assert_same_gradient(algorithm, engine, some)

    def test_a_returned_loss_is_not_overwritten(self) -> None:
        algorithm = build(MAML, classification("conv")).train()
        first, second = batches(algorithm, 2)
        engine = CudaGraph(algorithm, algorithm.query_losses, first, capture=emulate_capture)
        loss = engine(first)
        kept = loss.clone()
        engine(second)
        assert torch.equal(loss, kept)

    def test_a_step_that_cannot_be_captured_runs_without_a_graph(self) -> None:
        def refuse(step: Step) -> Step:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

        algorithm = build(MAML, classification("conv")).train()
        some = batches(algorithm, 2)
        engine = CudaGraph(algorithm, algorithm.query_losses, some[0], capture=refuse)
        assert engine.why_not == "operation not permitted when stream is capturing"
        assert_same_gradient(algorithm, engine, some)

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
    @pytest.mark.parametrize(("cls", "options"), METHODS)
    def test_a_captured_graph_gives_the_same_gradient_on_a_gpu(
        self, cls: type[Any], options: dict[str, Any]
    ) -> None:
        algorithm = build(cls, classification("conv"), **options).cuda().train()
        some = [batch.to("cuda") for batch in batches(algorithm, 3)]
        engine = CudaGraph(algorithm, algorithm.query_losses, some[0])
        assert engine.why_not == ""
        assert_same_gradient(algorithm, engine, some)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail after 30 seconds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Returns whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children() -> list[int]:
    """Returns the live child processes of this process."""
    with open(f"/proc/self/task/{os.getpid()}/children") as pids:
        return [int(pid) for pid in pids.read().split()]
