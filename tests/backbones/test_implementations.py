import copy
import time
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench.backbones import implementations
from metabench.backbones.base import Backbone
from metabench.backbones.conv4 import Conv4, Conv4Narrow, Conv4Strided
from metabench.backbones.implementations import time_implementations
from metabench.backbones.mlp import MLP
from metabench.backbones.network import LinearHead, Network
from metabench.learning.inner_loop import task_params

TASKS, EXAMPLES = 3, 5
IMAGE = (1, 16, 16)


class ForwardOnly(Backbone):
    """A backbone that defines only ``forward``."""

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
    "plain": ForwardOnly,
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


def make_network(name: str) -> tuple[Backbone, dict[str, Tensor], Tensor]:
    torch.manual_seed(0)
    network = NETWORKS[name]().double()
    params = {
        k: (p + 0.1 * torch.randn_like(p)).detach() for k, p in task_params(network, TASKS).items()
    }
    return network, params, torch.rand(TASKS, EXAMPLES, *IMAGE, dtype=torch.float64)


def derivatives(
    network: Backbone,
    params: Mapping[str, Tensor],
    x: Tensor,
    *,
    twice: bool,
    implementation: str = "",
) -> list[Tensor]:
    """Returns features and their first (and second) derivatives in parameters and inputs."""
    own = {k: p.clone().requires_grad_() for k, p in params.items()}
    x = x.clone().requires_grad_()
    if implementation:
        features = network.implementations()[implementation](own, x)
    else:
        features = network.forward_tasks(own, x, twice=twice)
    moving = [*own.values(), x]
    first = torch.autograd.grad(features.sin().sum(), moving, create_graph=twice)
    if not twice:
        return [features, *first]
    total = torch.stack([slope.sin().sum() for slope in first]).sum()
    return [features, *first, *torch.autograd.grad(total, moving)]


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_network_has_its_implementations(name: str) -> None:
    network, _, x = make_network(name)
    assert set(network.implementations()) == EXPECTED[name]
    for twice in (False, True):
        assert network.fastest_on_cpu(x, twice=twice) in EXPECTED[name]


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize(("name", "implementation"), CASES)
def test_all_implementations_give_the_same_derivatives(
    name: str, implementation: str, twice: bool
) -> None:
    network, params, x = make_network(name)
    expected = derivatives(network, params, x, twice=twice, implementation="loop")
    found = derivatives(network, params, x, twice=twice, implementation=implementation)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_the_implementations_of_a_network_with_a_head_agree() -> None:
    network = Network(MLP((6,), hidden=(8,)), LinearHead(8, 3)).double()
    params = {k: p.detach() for k, p in task_params(network, TASKS).items()}
    x = torch.rand(TASKS, EXAMPLES, 6, dtype=torch.float64)
    found = network.forward_tasks(params, x)
    for implementation in network.implementations().values():
        torch.testing.assert_close(implementation(params, x), found)


def test_a_copied_network_runs_its_own_implementations() -> None:
    network, params, x = make_network("pooled")
    network.forward_tasks(params, x)
    other = copy.deepcopy(network)
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    assert other.implementations()["loop"].__self__ is other  # type: ignore[attr-defined]


class TestFastest:
    def test_the_implementation_with_the_least_time_is_chosen(self) -> None:
        def slow(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
            time.sleep(0.02)
            return x * params["w"]

        def quick(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
            return x * params["w"]

        params = {"w": torch.ones(2, 3)}
        for twice in (False, True):
            both = {"slow": slow, "quick": quick}
            x = torch.rand(2, 3)
            assert time_implementations(both, params, x, twice=twice) == "quick"

    def test_an_implementation_that_runs_out_of_memory_is_not_chosen(self) -> None:
        def greedy(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("planted")

        def modest(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
            time.sleep(0.001)
            return x * params["w"]

        params = {"w": torch.ones(2, 3)}
        both = {"greedy": greedy, "modest": modest}
        x = torch.rand(2, 3)
        assert time_implementations(both, params, x, twice=False) == "modest"

    def test_the_implementations_of_a_network_can_be_timed(self) -> None:
        network, params, x = make_network("strided")
        chosen = time_implementations(network.implementations(), params, x, twice=True)
        assert chosen in EXPECTED["strided"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", list(NETWORKS))
def test_on_a_gpu_the_choice_is_cached_and_its_derivatives_are_right(name: str) -> None:
    network, params, x = make_network(name)
    expected = derivatives(network, params, x, twice=True)
    network, params, x = network.cuda(), {k: p.cuda() for k, p in params.items()}, x.cuda()
    for _ in range(2):
        found = derivatives(network, params, x, twice=True)
        before = dict(implementations._fastest_by_inputs)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a.cpu(), b, rtol=1e-8, atol=1e-10)
    assert implementations._fastest_by_inputs == before
