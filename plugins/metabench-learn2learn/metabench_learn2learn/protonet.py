"""Prototypical Networks by learn2learn."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from metabench import Predictor, ProtoNet, Support
from metabench_learn2learn import LIBRARY
from metabench_learn2learn.library import l2l


class L2LProtoNet(ProtoNet):
    """Prototypical Networks by ``learn2learn.nn.PrototypicalClassifier``.

    Hyper-parameters, recipes, embedding and training are those of ``protonet``; from one seed the
    two differ by rounding only.

    Reference: Snell, Swersky and Zemel 2017, arXiv:1703.05175; Arnold et al. 2020,
    arXiv:2008.12284.
    """

    name: ClassVar[str] = "l2l-protonet"
    library: ClassVar[str] = LIBRARY

    def classifier(self, support: Support, features: Tensor) -> Predictor:
        """Return one classifier for each of ``T`` tasks; see :class:`ProtoNet`."""
        classifiers = [
            l2l.nn.PrototypicalClassifier(support=f, labels=y, distance="euclidean")
            for f, y in zip(features, support.y, strict=True)
        ]
        return lambda query: torch.stack([c(q) for c, q in zip(classifiers, query, strict=True)])
