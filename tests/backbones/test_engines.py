import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench.backbones import engines
from metabench.backbones.base import Backbone
from metabench.backbones.conv4 import Conv4, Conv4Narrow, Conv4Strided
from metabench.backbones.engines import choose, fastest, use_engine
from metabench.backbones.mlp import MLP
from metabench.backbones.network import LinearHead, Network
from metabench.backbones.order import differentiated_twice
from metabench.learning.inner_loop import task_params

TASKS, EXAMPLES = 3, 5
IMAGE = (1, 16, 16)


class Plain(Backbone):
    """A network of somebody who has written nothing but ``forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.features = nn.Linear(16 * 16, 4), 4

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = F.relu(self.layer(x.flatten(1)))
        return out


NETWORKS: dict[str, Callable[[], Backbone]] = {
    "pooled": lambda: Conv4(IMAGE, channels=4, norm="batch"),
    "pooled-no-scale": lambda: Conv4Narrow(IMAGE, channels=3, norm="batch", scale=False),
    "strided": lambda: Conv4Strided(IMAGE, channels=4),
    "running": lambda: Conv4(IMAGE, channels=4).eval(),
    "mlp": lambda: MLP(IMAGE, hidden=(8,)),
    "plain": Plain,
}
EXPECTED = {
    "pooled": {"loop", "vmap", "grouped", "twice"},
    "pooled-no-scale": {"loop", "vmap", "grouped", "twice"},
    "strided": {"loop", "vmap", "grouped", "unfolded"},
    "running": {"loop"},
    "mlp": {"loop", "vmap", "batched"},
    "plain": {"loop", "vmap"},
}
CASES = [(name, engine) for name, known in EXPECTED.items() for engine in sorted(known)]


def with_tasks(name: str) -> tuple[Backbone, dict[str, Tensor], Tensor]:
    torch.manual_seed(0)
    network = NETWORKS[name]().double()
    params = {
        k: (p + 0.1 * torch.randn_like(p)).detach() for k, p in task_params(network, TASKS).items()
    }
    return network, params, torch.rand(TASKS, EXAMPLES, *IMAGE, dtype=torch.float64)


def derivatives(
    network: Backbone, params: Mapping[str, Tensor], x: Tensor, *, twice: bool
) -> list[Tensor]:
    """Features, a gradient, and a gradient of that, in parameters and inputs."""
    own = {k: p.clone().requires_grad_() for k, p in params.items()}
    x = x.clone().requires_grad_()
    with differentiated_twice(twice):
        features = network.forward_tasks(own, x)
    moving = [*own.values(), x]
    first = torch.autograd.grad(features.sin().sum(), moving, create_graph=twice)
    if not twice:
        return [features, *first]
    total = torch.stack([slope.sin().sum() for slope in first]).sum()
    return [features, *first, *torch.autograd.grad(total, moving)]


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_network_has_its_engines(name: str) -> None:
    network, _, x = with_tasks(name)
    assert set(network.engines()) == EXPECTED[name]
    for twice in (False, True):
        with differentiated_twice(twice):
            assert network.fastest_on_cpu(x) in EXPECTED[name]


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize(("name", "engine"), CASES)
def test_all_engines_give_the_same_derivatives(name: str, engine: str, twice: bool) -> None:
    network, params, x = with_tasks(name)
    with use_engine("loop"):
        expected = derivatives(network, params, x, twice=twice)
    with use_engine(engine):
        found = derivatives(network, params, x, twice=twice)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_a_network_with_a_head_asks_each_part() -> None:
    network = Network(MLP((6,), hidden=(8,)), LinearHead(8, 3)).double()
    params = {k: p.detach() for k, p in task_params(network, TASKS).items()}
    x = torch.rand(TASKS, EXAMPLES, 6, dtype=torch.float64)
    found = {}
    for engine in ("loop", "vmap", "batched", "of another network"):
        with use_engine(engine):
            found[engine] = network.forward_tasks(params, x)
        torch.testing.assert_close(found[engine], found["loop"])


def test_what_is_asked_for_ends_with_the_block() -> None:
    asked: dict[str, Any] = {"a": lambda p, x: x + 1, "b": lambda p, x: x + 2}
    x = torch.zeros(1)
    assert choose(asked, "a", {}, x) is asked["a"]
    with use_engine("b"):
        assert choose(asked, "a", {}, x) is asked["b"]
        with use_engine("c"):
            assert choose(asked, "a", {}, x) is asked["a"]
    assert choose(asked, "a", {}, x) is asked["a"]


def test_a_copy_of_a_network_runs_on_its_own() -> None:
    network, params, x = with_tasks("pooled")
    network.forward_tasks(params, x)
    other = copy.deepcopy(network)
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    assert other.engines()["loop"].__self__ is other  # type: ignore[attr-defined]


class TestFastest:
    def test_it_is_the_one_that_takes_the_least_time(self) -> None:
        def slow(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
            time.sleep(0.02)
            return x * params["w"]

        def quick(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
            return x * params["w"]

        params = {"w": torch.ones(2, 3)}
        for twice in (False, True):
            with differentiated_twice(twice):
                assert fastest({"slow": slow, "quick": quick}, params, torch.rand(2, 3)) == "quick"

    def test_what_has_not_enough_memory_is_not(self) -> None:
        def greedy(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("planted")

        def modest(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
            time.sleep(0.001)
            return x * params["w"]

        params = {"w": torch.ones(2, 3)}
        assert fastest({"greedy": greedy, "modest": modest}, params, torch.rand(2, 3)) == "modest"

    def test_real_engines_can_be_measured(self) -> None:
        network, params, x = with_tasks("strided")
        with differentiated_twice():
            assert fastest(network.engines(), params, x) in EXPECTED["strided"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", list(NETWORKS))
def test_on_a_gpu_what_was_measured_is_kept_and_right(name: str) -> None:
    network, params, x = with_tasks(name)
    expected = derivatives(network, params, x, twice=True)
    network, params, x = network.cuda(), {k: p.cuda() for k, p in params.items()}, x.cuda()
    for _ in range(2):
        found = derivatives(network, params, x, twice=True)
        before = dict(engines._measured)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a.cpu(), b, rtol=1e-8, atol=1e-10)
    assert engines._measured == before
