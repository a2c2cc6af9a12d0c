"""Feature-wise linear modulation (FiLM): task vectors become parameters of a network."""

from __future__ import annotations

from torch import Tensor, nn

from metabench.learning.inner_loop import Params


class FiLM(nn.Module):
    r"""Turn a task vector into shifts and scales of a network's channels, which start at none.

    .. math::
        \gamma_c \leftarrow \gamma_c + \Delta_{\gamma_c}(z), \qquad
        \beta_c \leftarrow \beta_c + \Delta_{\beta_c}(z)

    for parameters that belong to one channel, such as batch norm's scale and shift or the biases of
    a layer. The columns of a linear layer's weight ``[inputs, outputs]``, which no scale follows,
    are multiplied by :math:`1 + \Delta(z)`. Convolutions are the same for all tasks.

    Reference: Perez et al. 2018, arXiv:1709.07871; for few-shot learning Requeima et al. 2019,
    arXiv:1906.07697 (CNAPs).

    Args:
        network: The network whose parameters are modulated.
        task_size: The length of a task vector.

    Attributes:
        lengths: The number of channels of each modulated parameter by name.
    """

    def __init__(self, network: nn.Module, task_size: int) -> None:
        super().__init__()
        self.lengths = {name: p.shape[-1] for name, p in network.named_parameters() if p.ndim <= 2}
        self.generate = nn.Linear(task_size, sum(self.lengths.values()))
        nn.init.zeros_(self.generate.weight)
        nn.init.zeros_(self.generate.bias)

    def forward(self, network: nn.Module, vectors: Tensor) -> Params:
        """Map task vectors ``[T, task_size]`` to the parameters of the network, ``[T, ...]``."""
        parts = self.generate(vectors).split(list(self.lengths.values()), dim=-1)
        changes = dict(zip(self.lengths, parts, strict=True))
        params = {}
        for name, p in network.named_parameters():
            if p.ndim == 1:
                params[name] = p + changes[name]
            elif p.ndim == 2:
                params[name] = p * (1 + changes[name].unsqueeze(1))
            else:
                params[name] = p.expand(len(vectors), *p.shape)
        return params
