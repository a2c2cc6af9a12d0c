"""Artificial records with all that a report shows, and one with hostile text."""

import math
import random
from typing import Any

from metabench.records.schema import CurvePoint, MetricResult, Record, Training
from tests.helpers.cells import make_record

HOSTILE = "<script>alert(1)</script>"
METHODS = {
    "maml": (0.92, 24.0),
    "protonet": (0.95, 1.3),
    "nearest-mean": (0.6, 0.2),
    "r2d2": (0.93, 4.0),
}
STEPS = (0, 1, 2, 3, 5, 10, 20, 50)
KINDS = ("gaussian", "blur", "occlusion")


def full_record(name: str, level: float, ms: float, *, seed: int = 0, **changes: Any) -> Record:
    """Returns a record of 60 episodes with curves, adaptation, noise, attacks and cost."""
    rng = random.Random(f"{name} {seed} {changes.get('benchmark')}")
    scores = tuple(min(1.0, max(0.0, round(rng.gauss(level, 0.06) * 75) / 75)) for _ in range(60))
    path = [0.2 + (level - 0.2) * (1 - math.exp(-1.5 * k)) for k in STEPS]
    in_steps = name in ("maml", "r2d2")
    curve = (
        {
            "steps": list(STEPS),
            "score": path,
            "ci95": [0.02] * len(STEPS),
            "ms": [3.0 * k for k in STEPS],
        }
        if in_steps
        else {"score": [level]}
    )
    shots = {
        "shots": [1, 2, 5, 10],
        "queries": 5,
        "score": [level, level + 0.01, level + 0.02, level + 0.03],
    }
    adaptation = _metric("adaptation", path if in_steps else [], {"curve": curve, "shots": shots})
    corruptions = {
        kind: [{"severity": s, "score": level - 0.05 * s, "drop": 0.05 * s} for s in range(1, 6)]
        for kind in KINDS
    }
    noise_values = {
        "clean": level,
        "corruptions": {"query": corruptions | {"mean_drop": 0.15}},
        "label_noise": {f"{s:g}": {"score": level - s / 2} for s in (0.2, 0.4, 0.6)},
    }
    attacks = {f"pgd-linf-{r:g}": {"score": level * (1 - 3 * r)} for r in (0.1, 0.2, 0.3)}
    record = make_record(
        name,
        scores,
        seed=seed,
        hyperparameters={"inner_lr": 0.4, "test_steps": 10, "first_order": False, "backbone": ""},
        cost={
            "adapt_ms": ms,
            "predict_ms": ms / 3 + 1,
            "parameters": 111_680,
            "peak_process_mb": 350.5,
            "peak_device_mb": None,
        },
        environment={"python": "3.11.7", "torch": "2.13.0+cpu", "cpu": "A CPU", "threads": 1},
        training=_training(level) if name != "nearest-mean" else Training(),
        **changes,
    )
    record.metrics |= {
        "adaptation": adaptation,
        "noise": _metric("noise", [0.15] * 20, noise_values, direction="lower"),
        "adversarial": _metric("adversarial", [0.3] * 10, {"clean": level, "attacks": attacks}),
    }
    return record


def full_records(**changes: Any) -> list[Record]:
    """Returns a record of each method, and a second seed of the first."""
    records = [full_record(name, level, ms, **changes) for name, (level, ms) in METHODS.items()]
    return [*records, full_record("maml", 0.91, 25.0, seed=1, **changes)]


def hostile_record(**changes: Any) -> Record:
    """Returns a record with markup in every text."""
    bad = f"{HOSTILE}\"'><img src=x onerror=alert(2)>{{{{ 7 * 7 }}}}"
    record = make_record(
        HOSTILE, tuple([0.5, 0.75] * 30), cost={"adapt_ms": 1.0, "predict_ms": 1.0}, **changes
    )
    algorithm = record.algorithm.model_copy(
        update={
            "version": bad,
            "library": bad,
            "distribution": bad,
            "distribution_version": bad,
            "hyperparameters": {bad: bad, "backbone": bad},
        }
    )
    metrics = {
        # The metric that ranks must agree with other records, or this one would be left out.
        name: metric
        if name == "accuracy"
        else metric.model_copy(update={"unit": bad, "version": bad})
        for name, metric in record.metrics.items()
    }
    metrics[bad] = _metric(bad, [0.1, 0.2], {bad: bad})
    return record.model_copy(
        update={
            "algorithm": algorithm,
            "metrics": metrics,
            "notes": [bad],
            "reason": bad,
            "traceback": bad,
            "environment": {bad: bad},
            "finished": bad,
            "started": bad,
            "episode_digest": changes.get("episode_digest", "e" * 64),
        }
    )


def _training(level: float) -> Training:
    points = [
        CurvePoint(
            examples=8000 * k, steps=100 * k, seconds=10.0 * k, loss=1 / k, score=level - 0.3 / k
        )
        for k in range(1, 7)
    ]
    return Training(
        examples=48_000,
        steps=600,
        seconds=60.0,
        flops=6e9,
        best_examples=48_000,
        curve=points,
    )


def _metric(
    name: str, episodes: list[float], values: dict[str, Any], direction: str = "higher"
) -> MetricResult:
    del name
    mean = sum(episodes) / len(episodes) if episodes else None
    return MetricResult(
        version="1", direction=direction, unit="score", mean=mean, ci95=0.02 if episodes else None,
        episodes=episodes, values=values,
    )  # fmt: skip
