"""The number of threads of PyTorch."""

import pytest
import torch

from metabench.runtime.threads import one_thread


def test_the_number_of_threads_is_restored_after_an_error_too() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ValueError, match="planted"), one_thread():
            assert torch.get_num_threads() == 1
            raise ValueError("planted")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
