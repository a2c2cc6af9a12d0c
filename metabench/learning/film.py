"""Feature-wise linear modulation: a task vector becomes parameters of a network."""

from __future__ import annotations

from torch import Tensor, nn

from metabench.learning.inner_loop import Params


class FiLM(nn.Module):
    r"""Turns a task vector into shifts and scales of a network's channels, starting from none at all.

    .. math::
        \gamma_c \leftarrow \gamma_c + \Delta_{\gamma_c}(z), \qquad
        \beta_c \leftarrow \beta_c + \Delta_{\beta_c}(z)

    for the parameters that belong to one channel, such as batch norm's scale and shift or a layer's biases.
    The columns of a fully connected layer's weight ``[inputs, outputs]``, where no scale follows it, are
    multiplied by :math:`1 + \Delta(z)`. Convolutions stay the same for all tasks.

    Reference: Perez et al. 2018, arXiv:1709.07871; for few-shot learning Requeima et al. 2019,
    arXiv:1906.07697 (CNAPs).

    Args:
        network: the network whose parameters are modulated.
        task_size: the length of a task vector.
    """

    def __init__(self, network: nn.Module, task_size: int) -> None:
        super().__init__()
        self.lengths = {name: p.shape[-1] for name, p in network.named_parameters() if p.ndim <= 2}
        self.generate = nn.Linear(task_size, sum(self.lengths.values()))
        nn.init.zeros_(self.generate.weight)
        nn.init.zeros_(self.generate.bias)

    def forward(self, network: nn.Module, vectors: Tensor) -> Params:
        """Task vectors ``[T, task_size]`` to the parameters of the network, ``[T, ...]``."""
        made = self.generate(vectors).split(list(self.lengths.values()), dim=-1)
        changes = dict(zip(self.lengths, made, strict=True))
        params = {}
        for name, p in network.named_parameters():
            if p.ndim == 1:
                params[name] = p + changes[name]
            elif p.ndim == 2:
                params[name] = p * (1 + changes[name].unsqueeze(1))
            else:
                params[name] = p.expand(len(vectors), *p.shape)
        return params
