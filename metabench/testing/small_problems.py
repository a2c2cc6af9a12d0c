"""The small problems that the kit tests algorithms on."""

from __future__ import annotations

import inspect
from typing import Any

from metabench.algorithms.problem import BackboneFactory, Problem
from metabench.backbones.base import Backbone
from metabench.plugins import installed_plugins
from metabench.registry import Spec

IMAGE = (1, 28, 28)
CHANNELS = 8
"""Channels of convolutional backbones, unless an algorithm asks for a number."""


def small_problems() -> tuple[Problem, Problem]:
    """Returns 3-way 2-shot classification of 28 x 28 images and 5-shot sinusoid regression."""
    specs = installed_plugins().registry.specs("backbone")
    backbones = {spec.name: _with_few_channels(spec) for spec in specs}
    return (
        Problem("classification", IMAGE, 3, 2, 3, 3, "conv4", backbones),
        Problem("regression", (1,), 0, 5, 8, 1, "mlp", backbones),
    )


def _with_few_channels(spec: Spec) -> BackboneFactory:
    def make(input_shape: tuple[int, ...], **options: Any) -> Backbone:
        factory = spec.load()
        # Convolutions take most of the time of the checks, and few channels show the same.
        if "channels" in inspect.signature(factory).parameters:
            options.setdefault("channels", CHANNELS)
        backbone: Backbone = factory(input_shape, **options)
        return backbone

    return make
