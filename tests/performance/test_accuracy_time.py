"""Time to the paper's accuracy of ProtoNet on Omniglot, 5-way 1-shot, from the committed record.

Nothing is trained here: the record has the accuracy, the machine and the seconds of meta-training.
"""

import json
import statistics
from pathlib import Path
from typing import Any

from tests.performance.comparison import Comparison
from tests.performance.figures import Figure

PAPER = 0.988
MOST_MINUTES = 6.0
RECORDS = Path(__file__).parents[2] / "leaderboards" / "omniglot" / "records"


def record() -> dict[str, Any]:
    """Returns the best record of ProtoNet on the benchmark."""
    found = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(RECORDS.rglob("*.json"))
    ]
    wanted = ("protonet", "omniglot-5w1s")
    mine = [r for r in found if (r["algorithm"]["name"], r["benchmark"]["name"]) == wanted]
    assert mine, f"no record of {wanted} in {RECORDS}"
    return max(mine, key=score)


def score(record: dict[str, Any]) -> float:
    """Returns the mean accuracy over the test episodes."""
    return statistics.fmean(record["metrics"]["accuracy"]["episodes"])


def test_protonet_reaches_the_accuracy_of_the_paper_within_minutes(comparison: Comparison) -> None:
    best = record()
    reached, minutes = 100 * score(best), best["training"]["seconds"] / 60
    setting = (
        f"leaderboards/omniglot: {best['training']['examples']:,} examples on "
        f"{best['environment']['cpu']}, {best['environment']['threads']} thread(s); read, not run"
    )
    what = "ProtoNet, Omniglot 5-way 1-shot"
    accuracy = Figure(
        name="protonet-accuracy",
        what=f"{what}: accuracy, the paper's as the bar",
        setting=setting,
        value=reached,
        bar=100 * PAPER,
        unit="%",
    )
    time = Figure(
        name="protonet-minutes",
        what=f"{what}: minutes of meta-training to that accuracy",
        setting=setting,
        value=minutes,
        bar=MOST_MINUTES,
        sense="at most",
        unit="minutes",
    )
    for figure in (accuracy, time):
        comparison.write(figure)
    assert accuracy.met, str(accuracy)
    assert time.met, str(time)
