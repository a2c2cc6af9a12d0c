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
        Spec("anil", f"{at}.anil:ANIL", "3", "MAML whose inner loop adapts the head only"),
        Spec(
            "cavia", f"{at}.cavia:CAVIA", "1", "Adapt a small context vector, the network is shared"
        ),
        Spec(
            "finetune",
            f"{at}.finetune:FineTune",
            "1",
            "A classifier, and a new linear head for each task",
        ),
        Spec(
            "finetune-cosine",
            f"{at}.finetune_cosine:FineTuneCosine",
            "1",
            "The same with cosine heads",
        ),
        Spec("fomaml", f"{at}.fomaml:FOMAML", "2", "MAML without second-order gradients"),
        Spec(
            "from-scratch", f"{at}.from_scratch:FromScratch", "2", "Train on each support set alone"
        ),
        Spec(
            "maml",
            f"{at}.maml:MAML",
            "2",
            "Learn an initialisation that a few gradient steps adapt",
        ),
        Spec("matchingnet", f"{at}.matchingnet:MatchingNet", "1", "Attention over the support set"),
        Spec("meta-lstm", f"{at}.meta_lstm:MetaLSTM", "4", "Learn the optimiser, an LSTM"),
        Spec(
            "meta-sgd",
            f"{at}.meta_sgd:MetaSGD",
            "2",
            "Learn the initialisation and every learning rate",
        ),
        Spec(
            "multi-task",
            f"{at}.multi_task:MultiTask",
            "1",
            "Train jointly on all tasks, then fine-tune",
        ),
        Spec(
            "nearest-mean",
            f"{at}.nearest_mean:NearestMean",
            "1",
            "Nearest class mean in pixel space",
        ),
        Spec(
            "protonet",
            f"{at}.protonet:ProtoNet",
            "1",
            "Distance to the mean embedding of each class",
        ),
        Spec("r2d2", f"{at}.r2d2:R2D2", "1", "Ridge regression in closed form on the embedding"),
        Spec("random", f"{at}.random_guess:RandomGuess", "1", "Chance"),
        Spec(
            "relationnet",
            f"{at}.relationnet:RelationNet",
            "1",
            "A learned comparison of embedded maps",
        ),
        Spec(
            "reptile",
            f"{at}.reptile:Reptile",
            "1",
            "Move the initialisation to where training leads",
        ),
        Spec(
            "task-embedding",
            f"{at}.task_embedding:TaskEmbedding",
            "1",
            "A task vector makes the learner",
        ),
    ]


@hookimpl
def metabench_datasets() -> list[Spec]:
    """The data sets that ship, embedded or read from a folder."""
    at = "metabench.datasets"
    return [
        Spec("glyphs", f"{at}.glyphs:Glyphs", "1", "Procedural characters, embedded"),
        Spec(
            "omniglot",
            f"{at}.omniglot:Omniglot",
            "1",
            "Lake et al. 2015: 1,623 characters by 20 drawers",
        ),
        Spec(
            "sinusoid", f"{at}.sinusoid:Sinusoid", "1", "Sine waves of random amplitude and phase"
        ),
    ]


@hookimpl
def metabench_backbones() -> list[Spec]:
    """The networks below the head."""
    at = "metabench.backbones"
    return [
        Spec("conv4", f"{at}.conv4:Conv4", "1", "Four convolutional blocks with max pools"),
        Spec("conv4-32", f"{at}.conv4:Conv4Narrow", "1", "The same with 32 channels"),
        Spec(
            "conv4-maps",
            f"{at}.conv4_maps:Conv4Maps",
            "1",
            "Four convolutional blocks, two max pools",
        ),
        Spec(
            "conv4-strided",
            f"{at}.conv4:Conv4Strided",
            "1",
            "Four convolutional blocks with stride 2",
        ),
        Spec("mlp", f"{at}.mlp:MLP", "1", "Fully connected, 40-40 by default"),
    ]


@hookimpl
def metabench_metrics() -> list[Spec]:
    """What is measured."""
    at = "metabench.metrics"
    return [
        Spec(
            "accuracy", f"{at}.accuracy.metric:Accuracy", "1", "Share of queries classified rightly"
        ),
        Spec(
            "adaptation",
            f"{at}.adaptation.metric:Adaptation",
            "2",
            "Score against inner steps and against shots",
        ),
        Spec(
            "adversarial",
            f"{at}.adversarial.metric:Adversarial",
            "1",
            "Accuracy under attack and poisoning",
        ),
        Spec("cost", f"{at}.cost:Cost", "1", "Milliseconds, memory, parameters and FLOPs"),
        Spec("mse", f"{at}.mse:MeanSquaredError", "1", "Mean squared error over the queries"),
        Spec(
            "noise",
            f"{at}.noise.metric:Noise",
            "1",
            "Score lost to wrong labels and spoiled inputs",
        ),
        Spec("shift", f"{at}.shift:Shift", "2", "Score lost to rotation, scale and inverted ink"),
        Spec(
            "transduction",
            f"{at}.transduction:Transduction",
            "1",
            "Whether queries help each other",
        ),
    ]


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
    """Where cells run."""
    at = "metabench.executors"
    return [
        Spec(
            "in-process",
            f"{at}.inprocess:InProcessExecutor",
            "1",
            "One after the other, in this process",
        ),
        Spec("processes", f"{at}.processes:ProcessExecutor", "1", "A worker process for each cell"),
    ]


@hookimpl
def metabench_formats() -> list[Spec]:
    """What a leaderboard is written as."""
    at = "metabench.leaderboard.formats"
    return [
        Spec("csv", f"{at}:csv", "1", "One table for spreadsheets, numbers in full"),
        Spec("html", f"{at}:html", "1", "Tables of a web page"),
        Spec("json", f"{at}:json", "1", "One array for scripts, numbers in full"),
        Spec("latex", f"{at}:latex", "1", "Tables of a paper, with booktabs"),
        Spec("markdown", f"{at}:markdown", "1", "Tables of a README"),
        Spec("table", f"{at}:table", "1", "Tables for a terminal"),
    ]
