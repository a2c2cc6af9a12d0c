"""What metabench itself brings, through the same door as everybody's plugin; nothing is imported yet."""

from __future__ import annotations

from pathlib import Path

from metabench.hookspecs import hookimpl
from metabench.registry import Spec


@hookimpl
def metabench_algorithms() -> list[Spec]:
    """The native algorithms."""
    at = "metabench.algorithms"
    return [
        Spec("maml", f"{at}.maml:MAML", "1", "Learn an initialisation that a few gradient steps adapt"),
        Spec("nearest-mean", f"{at}.nearest_mean:NearestMean", "1", "Nearest class mean in pixel space"),
        Spec("protonet", f"{at}.protonet:ProtoNet", "1", "Distance to the mean embedding of each class"),
    ]


@hookimpl
def metabench_datasets() -> list[Spec]:
    """The data sets that ship, embedded or read from a folder."""
    at = "metabench.datasets"
    return [
        Spec("glyphs", f"{at}.glyphs:Glyphs", "1", "Procedural characters, embedded"),
        Spec("omniglot", f"{at}.omniglot:Omniglot", "1", "Lake et al. 2015: 1,623 characters by 20 drawers"),
        Spec("sinusoid", f"{at}.sinusoid:Sinusoid", "1", "Sine waves of random amplitude and phase"),
    ]


@hookimpl
def metabench_backbones() -> list[Spec]:
    """The networks below the head."""
    at = "metabench.backbones"
    return [
        Spec("conv4", f"{at}.conv4:Conv4", "1", "Four convolutional blocks with max pools"),
        Spec("conv4-strided", f"{at}.conv4:Conv4Strided", "1", "Four convolutional blocks with stride 2"),
        Spec("mlp", f"{at}.mlp:MLP", "1", "Fully connected, 40-40 by default"),
    ]


@hookimpl
def metabench_metrics() -> list[Spec]:
    """What is measured."""
    at = "metabench.metrics"
    return [
        Spec("accuracy", f"{at}.accuracy:Accuracy", "1", "Share of queries classified rightly"),
        Spec("cost", f"{at}.cost:Cost", "1", "Milliseconds, memory and parameters"),
        Spec("mse", f"{at}.mse:MeanSquaredError", "1", "Mean squared error over the queries"),
    ]


@hookimpl
def metabench_suites() -> list[Path]:
    """The suites that ship."""
    return sorted(Path(__file__).parent.joinpath("suites").glob("*.toml"))
