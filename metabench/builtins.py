"""The built-in plugin: what metabench provides through its own hooks, without importing it."""

from __future__ import annotations

from pathlib import Path

from metabench.hookspecs import hookimpl
from metabench.registry import Spec


@hookimpl
def metabench_algorithms() -> list[Spec]:
    """The built-in algorithms."""
    return _specs(
        "metabench.algorithms",
        ("anil", "anil:ANIL", "4", "MAML whose inner loop adapts the head only"),
        ("cavia", "cavia:CAVIA", "2", "Adapt a small context vector, the network is shared"),
        ("finetune", "finetune:FineTune", "1", "A classifier, and a new linear head for each task"),
        ("finetune-cosine", "finetune_cosine:FineTuneCosine", "1", "The same with cosine heads"),
        ("fomaml", "fomaml:FOMAML", "3", "MAML without second-order gradients"),
        ("from-scratch", "from_scratch:FromScratch", "3", "Train on each support set alone"),
        ("maml", "maml:MAML", "3", "Learn an initialisation that a few gradient steps adapt"),
        ("matchingnet", "matchingnet:MatchingNet", "2", "Attention over the support set"),
        ("meta-lstm", "meta_lstm:MetaLSTM", "6", "Learn the optimiser, an LSTM"),
        ("meta-sgd", "meta_sgd:MetaSGD", "3", "Learn the initialisation and every learning rate"),
        ("multi-task", "multi_task:MultiTask", "2", "Train jointly on all tasks, then fine-tune"),
        ("nearest-mean", "nearest_mean:NearestMean", "1", "Nearest class mean in pixel space"),
        ("protonet", "protonet:ProtoNet", "2", "Distance to the mean embedding of each class"),
        ("r2d2", "r2d2:R2D2", "2", "Ridge regression in closed form on the embedding"),
        ("random", "random_guess:RandomGuess", "1", "Chance"),
        ("relationnet", "relationnet:RelationNet", "3", "A learned comparison of embedded maps"),
        ("reptile", "reptile:Reptile", "2", "Move the initialisation to where training leads"),
        ("task-embedding", "task_embedding:TaskEmbedding", "2", "A task vector makes the learner"),
        ("anil-zero-head", "anil_zero_head:ANILZeroHead", "1", "ANIL from a head of zeros"),
        ("fomaml-zero-head", "fomaml_zero_head:FOMAMLZeroHead", "1", "FOMAML from a head of zeros"),
        ("maml-zero-head", "maml_zero_head:MAMLZeroHead", "1", "MAML from a head of zeros"),
        (
            "meta-sgd-zero-head",
            "meta_sgd_zero_head:MetaSGDZeroHead",
            "1",
            "Meta-SGD from a head of zeros",
        ),
        (
            "reptile-zero-head",
            "reptile_zero_head:ReptileZeroHead",
            "1",
            "Reptile from a head of zeros",
        ),
    )


@hookimpl
def metabench_datasets() -> list[Spec]:
    """The data sets that ship, embedded or read from a folder."""
    return _specs(
        "metabench.datasets",
        ("glyphs", "glyphs:Glyphs", "1", "Procedural characters, embedded"),
        ("omniglot", "omniglot:Omniglot", "1", "Lake et al. 2015: 1,623 characters by 20 drawers"),
        ("sinusoid", "sinusoid:Sinusoid", "1", "Sine waves of random amplitude and phase"),
    )


@hookimpl
def metabench_backbones() -> list[Spec]:
    """The networks below the head."""
    return _specs(
        "metabench.backbones",
        ("conv4", "conv4:Conv4", "1", "Four convolutional blocks with max pools"),
        ("conv4-16", "conv4:Conv4Small", "1", "The same with 16 channels"),
        ("conv4-32", "conv4:Conv4Narrow", "1", "The same with 32 channels"),
        ("conv4-maps", "conv4_maps:Conv4Maps", "1", "Four convolutional blocks, two max pools"),
        ("conv4-strided", "conv4:Conv4Strided", "1", "Four convolutional blocks with stride 2"),
        ("mlp", "mlp:MLP", "1", "Fully connected, 40-40 by default"),
    )


@hookimpl
def metabench_metrics() -> list[Spec]:
    """The metrics."""
    return _specs(
        "metabench.metrics",
        ("accuracy", "accuracy.metric:Accuracy", "1", "Share of correctly classified queries"),
        ("adaptation", "adaptation.metric:Adaptation", "2", "Score by inner steps and by shots"),
        ("adversarial", "adversarial.metric:Adversarial", "1", "Accuracy under attack, poisoned"),
        ("cost", "cost:Cost", "1", "Milliseconds, memory, parameters and FLOPs"),
        ("mse", "mse:MeanSquaredError", "1", "Mean squared error over the queries"),
        ("noise", "noise.metric:Noise", "1", "Score lost to wrong labels and corrupted inputs"),
        ("shift", "shift:Shift", "2", "Score lost to rotation, scaling and inversion"),
        ("transduction", "transduction:Transduction", "1", "Whether queries help each other"),
    )


@hookimpl
def metabench_suites() -> list[Path]:
    """The suites that ship."""
    return sorted(Path(__file__).parent.joinpath("benchmarks", "suites").glob("*.toml"))


@hookimpl
def metabench_recipes() -> list[Path]:
    """The recipes that ship."""
    return sorted(Path(__file__).parent.joinpath("recipes").glob("*.toml"))


@hookimpl
def metabench_executors() -> list[Spec]:
    """The executors."""
    return _specs(
        "metabench.executors",
        ("in-process", "inprocess:InProcessExecutor", "1", "One after the other, in this process"),
        ("processes", "processes:ProcessExecutor", "1", "A worker process for each cell"),
    )


@hookimpl
def metabench_formats() -> list[Spec]:
    """The output formats of a leaderboard."""
    return _specs(
        "metabench.leaderboard",
        ("csv", "formats:csv", "1", "One table for spreadsheets, numbers in full"),
        ("html", "formats:html", "1", "Tables of a web page"),
        ("json", "formats:json", "1", "One array for scripts, numbers in full"),
        ("latex", "formats:latex", "1", "Tables of a paper, with booktabs"),
        ("markdown", "formats:markdown", "1", "Tables of a README"),
        ("table", "formats:table", "1", "Tables for a terminal"),
    )


def _specs(package: str, *rows: tuple[str, str, str, str]) -> list[Spec]:
    """Returns specs from rows of name, target within the package, version and summary."""
    return [Spec(name, f"{package}.{target}", *rest) for name, target, *rest in rows]
