"""Meta-training: validation changes no bit, the best state is kept, the budget is spent."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from metabench.episodes import TaskStream
from metabench.running.trainer import Trainer
from tests.helpers.cells import blobs, waves
from tests.helpers.trainers import assert_same, state_of, trainer_of


def losses_of(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Run a training. Returns the losses of its outer steps."""
    found: list[float] = []
    log = TaskStream.log

    def note(self: TaskStream, loss: Tensor) -> None:
        if self is trainer.stream:  # and not that of the step whose operations are counted
            found.append(float(loss.detach()))
        log(self, loss)

    with monkeypatch.context() as patched:
        patched.setattr(TaskStream, "log", note)
        trainer.run()
    return found


@pytest.mark.parametrize("algorithm", ["learner", "protonet"])
def test_validations_and_checkpoints_do_not_change_a_bit(
    planted, tmp_path: Path, algorithm: str, monkeypatch
) -> None:
    """The losses of all outer steps are the same bits with one validation and with seven."""
    losses = {}
    for validations in (1, 7):
        benchmark = blobs(backbone="conv4", validations=validations)
        checkpoint = tmp_path / "c.pt" if validations == 7 else None
        hyperparameters = {"train_ways": 4} if algorithm == "protonet" else {}
        trainer = trainer_of(planted, algorithm, benchmark, checkpoint, **hyperparameters)
        losses[validations] = losses_of(trainer, monkeypatch)
        assert len(trainer.training.curve) == validations
    assert len(losses[1]) > 7
    assert losses[1] == losses[7]


def test_validation_restores_modes_and_gradients(planted) -> None:
    trainer = trainer_of(planted, "learner", blobs())
    model = trainer.algorithm
    model.train()
    model.embed.eval()  # a part that is not to be trained
    model.embed.weight.grad = torch.ones_like(model.embed.weight)
    seen: list[tuple[bool, bool]] = []

    def validate() -> float:
        seen.append((model.training, model.embed.training))
        model.embed(torch.ones(1, 256)).sum().backward()
        return 0.0

    trainer._validate = validate
    trainer._measure()
    assert seen == [(False, False)]
    assert (model.training, model.embed.training) == (True, False)
    assert torch.equal(model.embed.weight.grad, torch.ones_like(model.embed.weight))


@pytest.mark.parametrize(("direction", "best"), [("higher", 2), ("lower", 3)])
def test_the_best_state_is_kept_and_of_equal_states_the_later(
    planted, direction: str, best: int
) -> None:
    trainer = trainer_of(planted, "learner", blobs())
    scores = iter([0.5, 0.7, 0.7, 0.1])
    trainer._sign = 1.0 if direction == "higher" else -1.0
    states: list[dict[str, Tensor]] = []

    def validate() -> float:
        states.append({k: v.clone() for k, v in trainer.algorithm.state_dict().items()})
        return next(scores)

    trainer._validate = validate
    training = trainer.run()
    assert_same(state_of(trainer), states[best])
    assert training.best_examples == training.curve[best].examples


@pytest.mark.parametrize("budget", [24, 47, 480, 500])
def test_the_budget_is_spent_in_whole_steps_and_never_exceeded(planted, budget: int) -> None:
    training = trainer_of(planted, "learner", blobs(budget=budget)).run()
    assert training.examples == budget - budget % 24
    assert training.steps == budget // 24
    assert training.curve[-1].examples == training.examples


def test_a_budget_too_small_for_a_step_ends_with_a_validated_state(planted) -> None:
    training = trainer_of(planted, "learner", blobs(budget=5)).run()
    assert (training.examples, training.steps, len(training.curve)) == (0, 0, 1)
    assert training.curve[0].loss is None


def test_the_record_has_the_number_of_training_episodes(planted) -> None:
    trainer = trainer_of(planted, "maml", waves(), tasks=25)
    trained = trainer.run()
    assert trained.tasks == 25 * trained.steps > 0


def test_the_examples_of_every_validation_are_counted(planted) -> None:
    training = trainer_of(planted, "learner", blobs(validations=3, validation_episodes=5)).run()
    assert len(training.curve) == 3
    assert training.validation_examples == 3 * 5 * blobs().protocol.examples
    assert training.examples == 480  # none of them is of the budget


def test_an_algorithm_that_is_not_trained_is_not_validated(planted) -> None:
    assert trainer_of(planted, "nearest-mean", blobs()).run().validation_examples == 0


def test_the_energy_of_training_excludes_validation(planted, monkeypatch) -> None:
    used = 0.0

    def counter(device: object) -> float:
        return used

    def log(self: TaskStream, loss: Tensor | float) -> None:
        nonlocal used
        used += 3.0

    monkeypatch.setattr("metabench.running.trainer.total_joules", counter)
    monkeypatch.setattr(TaskStream, "log", log)
    trainer = trainer_of(planted, "maml", waves(), tasks=25)
    validate = trainer._validate

    def costly() -> float:
        nonlocal used
        used += 1000.0
        return validate()

    trainer._validate = costly
    trained = trainer.run()
    assert trained.joules == 3.0 * trained.steps
    assert len(trained.curve) > 1


def test_without_an_energy_counter_there_is_no_energy(planted) -> None:
    assert trainer_of(planted, "maml", waves(), tasks=25).run().joules is None
