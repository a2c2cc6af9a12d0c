"""Full-context embeddings: every example is embedded in view of the whole support set."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FullContext(nn.Module):
    r"""The two context encoders of Matching Networks, on top of the backbone's features.

    For a support example, a bidirectional LSTM over the support set with a skip connection:

    .. math:: g(x_i) = \overrightarrow{h}_i + \overleftarrow{h}_i + g'(x_i)

    For a query, an LSTM that reads the support set by attention and gets the query at each of K
    steps; each query reads alone, so queries do not depend on each other:

    .. math::
        \hat h_k, c_k = \text{LSTM}(f'(x), [h_{k-1}, r_{k-1}], c_{k-1}), \quad
        h_k = \hat h_k + f'(x), \quad
        r_k = \sum_i \text{softmax}_i\!\left(h_k^\top g(x_i)\right) g(x_i), \quad f(x) = h_K

    Reference: Vinyals et al. 2016, arXiv:1606.04080, appendix A.

    Args:
        features: The length of a feature vector.
        steps: K.
    """

    def __init__(self, features: int, steps: int) -> None:
        super().__init__()
        self.features = features
        self.steps = steps
        self.lstm = nn.LSTM(features, features, batch_first=True, bidirectional=True)
        # [h, r] is the recurrent state: it enters beside the query, and the cell's h is not used.
        self.cell_input = nn.Linear(features, 4 * features)
        self.cell_state = nn.Linear(2 * features, 4 * features, bias=False)

    def support(self, features: Tensor) -> Tensor:
        """Map ``[T, S, features]``, in the order in which the LSTM reads, to the same shape."""
        hidden: Tensor = self.lstm(features)[0]
        forward, backward = hidden.chunk(2, dim=-1)
        return forward + backward + features

    def query(self, features: Tensor, keys: Tensor) -> Tensor:
        """Embed queries ``[T, Q, features]`` in view of support embeddings ``[T, S, features]``."""
        hidden = torch.zeros_like(features)
        read = torch.zeros_like(features)
        cell = torch.zeros_like(features)
        inputs = self.cell_input(features)
        for _ in range(self.steps):
            gates = inputs + self.cell_state(torch.cat([hidden, read], dim=-1))
            enter, forget, candidate, leave = gates.chunk(4, dim=-1)
            cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
            hidden = leave.sigmoid() * cell.tanh() + features
            read = (hidden @ keys.transpose(-1, -2)).softmax(-1) @ keys
        return hidden
