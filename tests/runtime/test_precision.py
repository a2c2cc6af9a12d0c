import pytest
import torch
from torch import Tensor

from metabench.backbones.conv4 import Conv4, Conv4Strided
from metabench.benchmarks.model import collect_benchmarks, load_suites
from metabench.errors import UnknownName, UsageError
from metabench.learning.inner_loop import task_params
from metabench.plugins import installed_plugins
from metabench.running.run_cell import Conditions, run_cell
from metabench.runtime.precision import check_precision, computing_in, lowered, raised
from tests.helpers.cells import cell

CPU = torch.device("cpu")


def test_only_requested_values_change_their_format() -> None:
    x = torch.rand(3)
    assert lowered(x, x)[0] is x
    assert raised(x) is x
    with computing_in("bf16", CPU):
        (low,) = lowered(x)
        assert low.dtype == torch.bfloat16
        assert raised(low).dtype == torch.float32
        assert raised(x.double()).dtype == torch.float64
    assert lowered(x)[0] is x


@pytest.mark.parametrize("precision", ["highest", "bf16"])
def test_the_settings_of_pytorch_are_restored(precision: str) -> None:
    def settings() -> tuple[object, ...]:
        autocast = torch.is_autocast_enabled("cpu")
        return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision(), autocast

    before = settings()
    with (
        pytest.raises(ValueError, match="planted"),
        computing_in(check_precision(precision, "cpu"), CPU),
    ):
        assert torch.is_autocast_enabled("cpu") == (precision == "bf16")
        assert torch.backends.cudnn.allow_tf32 == (precision != "highest")
        raise ValueError("planted")
    assert settings() == before


def test_tf32_on_a_cpu_is_an_error() -> None:
    with pytest.raises(UsageError, match="tf32 needs an NVIDIA GPU, and the device is cpu"):
        check_precision("tf32", "cpu")
    assert check_precision("tf32", "cuda:1") == "tf32"


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(UnknownName, match="fp16") as told:
        check_precision("fp16", "cpu")
    assert "highest, tf32, bf16" in told.value.hint


@pytest.mark.parametrize(
    ("kind", "implementation"),
    [(Conv4, e) for e in ("loop", "vmap", "grouped", "twice")] + [(Conv4Strided, "unfolded")],
)
def test_every_implementation_agrees_with_float32_approximately(
    kind: type[Conv4], implementation: str
) -> None:
    torch.manual_seed(0)
    network = kind((1, 28, 28), channels=8, norm="batch", scale=True)
    params = {k: p.detach().requires_grad_() for k, p in task_params(network, 2).items()}
    x = torch.rand(2, 20, 1, 28, 28)

    def derivatives() -> tuple[Tensor, Tensor]:
        features = network.implementations()[implementation](params, x)
        loss = features.float().square().mean()
        first = torch.autograd.grad(loss, list(params.values()), create_graph=True)
        steepness = torch.stack([slope.float().square().sum() for slope in first]).sum()
        torch.autograd.grad(steepness, list(params.values()))
        return features.detach(), torch.cat([slope.detach().flatten() for slope in first])

    expected = derivatives()
    with computing_in("bf16", CPU):
        found = derivatives()
    features, slopes = (a.float() - b for a, b in zip(found, expected, strict=True))
    assert 0 < float(features.norm() / expected[0].norm()) < 0.05
    assert 0 < float(slopes.norm() / expected[1].norm()) < 0.3  # batch norm of few values magnifies


def test_a_cell_uses_its_precision_and_the_record_states_it() -> None:
    registry = installed_plugins().registry
    glyphs = collect_benchmarks(load_suites(registry).values())["glyphs-5w1s"].quickened()
    what = cell("maml", glyphs.model_copy(update={"metrics": ("accuracy",)}), budget=200)
    records = {
        name: run_cell(what, registry, Conditions(precision=name)) for name in ("highest", "bf16")
    }
    assert {name: r.environment["precision"] for name, r in records.items()} == {
        "highest": "highest",
        "bf16": "bf16",
    }
    assert [r.status for r in records.values()] == ["ok", "ok"]
    assert records["highest"].key == records["bf16"].key
    assert (
        records["highest"].metrics["accuracy"].episodes
        != records["bf16"].metrics["accuracy"].episodes
    )
