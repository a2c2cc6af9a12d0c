"""Scores of clean episodes come from the predictions that the ranking metric made."""

import pytest
import torch

from metabench.metrics.scoring import score_perturbed
from metabench.metrics.trial import BATCH_SIZE, Trial
from tests.helpers.small_trials import GradientDescent, OneByOne, image_trial

EPISODES = BATCH_SIZE + 5


@pytest.mark.parametrize("make", [GradientDescent, OneByOne])
@pytest.mark.parametrize("episodes", [7, BATCH_SIZE, EPISODES, 10 * EPISODES])
def test_clean_scores_do_not_depend_on_whether_predictions_were_made(
    make: type[GradientDescent], episodes: int
) -> None:
    fresh = image_trial(make, episodes=EPISODES)
    used = image_trial(make, episodes=EPISODES)
    used.predictions()
    assert torch.equal(score_perturbed(fresh, episodes), score_perturbed(used, episodes))


@pytest.mark.parametrize(
    ("episodes", "batches"), [(7, 1), (BATCH_SIZE, 0), (BATCH_SIZE + 1, 2), (EPISODES, 0)]
)
def test_whole_batches_are_not_predicted_again(
    monkeypatch: pytest.MonkeyPatch, episodes: int, batches: int
) -> None:
    trial = image_trial(OneByOne, episodes=EPISODES)
    trial.predictions()
    predict, calls = Trial.predict, []
    monkeypatch.setattr(
        Trial, "predict", lambda self, *a, **k: calls.append(a) or predict(self, *a, **k)
    )
    score_perturbed(trial, episodes)
    assert len(calls) == batches
