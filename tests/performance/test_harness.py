"""The overhead of the training of a cell over the steps of the algorithm.

The steps alone run over batches in memory. The training of a cell draws them, checks each loss,
counts examples and classes, waits for exclusive timing, and checks when the next checkpoint is due.
"""

import copy

import pytest
import torch

from metabench.algorithms.base import Algorithm
from metabench.algorithms.maml import MAML
from metabench.algorithms.protonet import ProtoNet
from metabench.episodes import NWayKShot
from metabench.recipes.hyperparameters import recipe_for
from metabench.running.trainer import Trainer
from tests.performance import workloads
from tests.performance.comparison import Comparison
from tests.performance.figures import Figure
from tests.performance.machine import rates
from tests.performance.outer_steps import Replay

BAR = 1.03
ROUNDS = 9


@pytest.mark.parametrize(
    ("cls", "on", "steps", "shape"),
    [
        (MAML, workloads.GLYPHS, 60, {"ways": 5, "shots": 1, "queries": 3, "tasks": 4}),
        (ProtoNet, workloads.GLYPHS, 20, {"ways": 60, "shots": 1, "queries": 5, "tasks": 1}),
        (MAML, workloads.SINUSOID, 3000, {"ways": 0, "shots": 10, "queries": 10, "tasks": 10}),
    ],
    ids=["maml-glyphs", "protonet-glyphs", "maml-sinusoid"],
)
def test_the_training_of_a_cell_has_little_overhead_over_its_steps(
    cls: type[Algorithm],
    on: str,
    steps: int,
    shape: dict[str, int],
    comparison: Comparison,
    request: pytest.FixtureRequest,
) -> None:
    tasks = workloads.open_benchmark(on, validations=1)
    torch.manual_seed(0)
    problem = tasks.problem(workloads.registry())
    recipe = recipe_for(workloads.registry(), cls, problem).values
    algorithm = cls(problem, **{k: v for k, v in recipe.items() if k != "budget"})
    initial = copy.deepcopy(algorithm.state_dict())
    at_once = shape["tasks"]
    protocol = NWayKShot(shape["ways"], shape["shots"], shape["queries"])
    examples = at_once * max(1, protocol.ways) * protocol.per_class
    drawn = [tasks.sampler(protocol, 0).range(i * at_once, (i + 1) * at_once) for i in range(steps)]

    def alone() -> int:
        algorithm.load_state_dict(initial)
        algorithm.train().meta_train(Replay(drawn))  # type: ignore[arg-type]
        return steps

    def in_a_cell() -> int:
        algorithm.load_state_dict(initial)
        budget = steps * examples
        trainer = Trainer(
            algorithm, tasks, budget=budget, validate=lambda: 0.0, direction="higher", key=""
        )
        training = trainer.run()
        assert training.steps == steps
        return steps

    timings = comparison.interleave(in_a_cell, {"the steps alone": alone}, rounds=ROUNDS)
    figure = Figure(
        name=f"harness-{request.node.callspec.id}",
        what=f"harness: a cell's training over its {cls.name} steps alone",
        setting=f"{on}, {steps} outer steps of {examples} examples, "
        "drawing counted as the harness's",
        value=timings["metabench"].median / timings["the steps alone"].median,
        bar=BAR,
        sense="at most",
        rounds=comparison.rounds(ROUNDS),
        rate_unit="outer steps/s",
        sides=rates(timings),
    )
    comparison.write(figure)
    assert figure.met, str(figure)
