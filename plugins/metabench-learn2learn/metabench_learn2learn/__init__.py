"""Algorithms and vision models of learn2learn, which is imported on first use."""

from __future__ import annotations

from pathlib import Path

from metabench import Spec, describe_library, hookimpl

LIBRARY = describe_library("learn2learn")
"""The library that does the work, with its installed version."""


@hookimpl
def metabench_algorithms() -> list[Spec]:
    """Return the algorithms, each named after its native namesake."""
    at = "metabench_learn2learn"
    found = [
        ("l2l-anil", "anil:L2LANIL", "3", "ANIL by learn2learn's MAML around the head"),
        ("l2l-fomaml", "maml:L2LFOMAML", "2", "First-order MAML by learn2learn"),
        ("l2l-maml", "maml:L2LMAML", "2", "MAML by learn2learn"),
        (
            "l2l-meta-curvature",
            "meta_curvature:L2LMetaCurvature",
            "2",
            "Meta-Curvature by learn2learn",
        ),
        ("l2l-meta-sgd", "meta_sgd:L2LMetaSGD", "2", "Meta-SGD by learn2learn"),
        (
            "l2l-protonet",
            "protonet:L2LProtoNet",
            "1",
            "ProtoNet by learn2learn's PrototypicalClassifier",
        ),
    ]
    return [
        Spec(name, f"{at}.{place}", version, summary, LIBRARY)
        for name, place, version, summary in found
    ]


@hookimpl
def metabench_backbones() -> list[Spec]:
    """Return the vision models as backbones for any algorithm."""
    at = "metabench_learn2learn.backbones"
    found = [
        ("l2l-cnn4", "CNN4", "learn2learn's CNN4: four blocks with max pools, 64 channels"),
        ("l2l-omniglot-cnn", "OmniglotCNN", "learn2learn's OmniglotCNN: four blocks with stride 2"),
        (
            "l2l-omniglot-fc",
            "OmniglotFC",
            "learn2learn's OmniglotFC: 256-128-64-64 with batch norm",
        ),
        ("l2l-resnet12", "ResNet12", "learn2learn's ResNet12 without its average pool"),
        ("l2l-wrn28", "WRN28", "learn2learn's WRN-28-10"),
    ]
    return [Spec(name, f"{at}:{place}", "1", summary, LIBRARY) for name, place, summary in found]


@hookimpl
def metabench_recipes() -> list[Path]:
    """Return the recipes of algorithms that have others than their native namesakes."""
    return sorted(Path(__file__).parent.joinpath("recipes").glob("*.toml"))
