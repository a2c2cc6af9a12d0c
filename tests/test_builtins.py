"""What is listed without being imported is what is there."""

import pytest

from metabench.plugins import Plugins


@pytest.mark.parametrize("kind", ["algorithm", "metric", "dataset", "backbone"])
def test_the_version_that_is_listed_is_that_of_the_class(kind: str) -> None:
    for spec in Plugins(only=()).registry.specs(kind):
        assert (spec.name, spec.version) == (spec.name, str(getattr(spec.load(), "version", "1")))
