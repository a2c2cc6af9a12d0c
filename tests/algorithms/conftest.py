"""Pools of glyphs and frozen episodes."""

import pytest

from metabench.datasets.base import ClassPool
from metabench.datasets.glyphs import Glyphs
from metabench.datasets.sinusoid import Sinusoid
from metabench.episodes import NWayKShot, TaskBatch
from tests.helpers.few_shot import sampler_of


@pytest.fixture(scope="session")
def train_glyphs() -> ClassPool:
    return Glyphs().pool("train")


@pytest.fixture(scope="session")
def test_glyphs() -> ClassPool:
    return Glyphs().pool("test")


@pytest.fixture(scope="session")
def episodes(test_glyphs: ClassPool) -> TaskBatch:
    """40 meta-test episodes of glyphs, 5-way 1-shot."""
    return sampler_of(test_glyphs, NWayKShot(5, 1, 5), "test").range(0, 40)


@pytest.fixture(scope="session")
def waves() -> TaskBatch:
    """100 sinusoid tasks."""
    return sampler_of(Sinusoid(), NWayKShot(0, 5, 20), "test").range(0, 100)
