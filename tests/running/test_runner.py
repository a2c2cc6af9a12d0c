"""The runner: the order of cells and of their records."""

from pathlib import Path

from metabench.config import Resources, Selection
from metabench.records.schema import Record
from metabench.records.store import ResultsFolder
from metabench.running.plan import expected_work, plan
from tests.helpers.cells import BLOBS, blobs, run_planned, suite_file


class Order:
    """A watcher that notes in which order cells end."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def started(self, planned: object) -> None: ...

    def event(self, cell: object, event: object) -> None: ...

    def finished(self, record: Record) -> None:
        self.ended.append(record.benchmark.name)


def test_long_cells_run_first_and_records_have_the_order_of_the_plan(
    planted, tmp_path: Path
) -> None:
    budgets = {"short": 240, "long": 960, "middle": 480}
    suite = suite_file(
        tmp_path / "tiny.toml",
        *(BLOBS | {"name": name, "budget": b} for name, b in budgets.items()),
    )
    planned = plan(planted.registry, Selection(algorithm=("learner",), suite=str(suite)), [])
    watcher = Order()
    resources = Resources(executor="in-process")
    records = run_planned(
        planned, planted, ResultsFolder(tmp_path / "results"), resources, [watcher]
    )
    assert watcher.ended == ["long", "middle", "short"]
    assert [record.benchmark.name for record in records] == list(budgets)


def test_steps_shots_and_budget_increase_the_expected_work() -> None:
    plain = expected_work(blobs(), {"budget": 480})
    # 30 + 4 x 4 held-out episodes, each with 3 support examples and 9 queries.
    assert plain == 480 + 46 * (3 + 9)
    assert (
        expected_work(blobs(), {"budget": 480, "inner_steps": 1, "test_steps": 5})
        == plain + 46 * 5 * 3
    )
    assert expected_work(blobs(shots=2), {"budget": 480}) > plain
    assert expected_work(blobs(), {"budget": 960}) == plain + 480
