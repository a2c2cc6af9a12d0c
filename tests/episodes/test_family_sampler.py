"""Regression tasks: sine waves as the MAML paper defines them."""

import math

import numpy as np
import torch
from scipy.stats import chisquare

from tests.helpers.small_samplers import P_VALUE, family_sampler, tensors


class TestSinusoids:
    def test_have_the_drawn_amplitude_and_phase_and_are_rounded_to_float32_once(self) -> None:
        drawn = family_sampler()
        batch = drawn.range(0, 200)
        numbers = drawn.draw(torch.arange(200))
        parameters, inputs = numbers[:, :2].tolist(), numbers[:, 2:].tolist()
        x, y = (
            torch.cat([batch.support_x, batch.query_x], 1),
            torch.cat([batch.support_y, batch.query_y], 1),
        )
        for t in range(200):
            amplitude, phase = 0.1 + 4.9 * parameters[t][0], math.pi * parameters[t][1]
            exact_x = [10 * u - 5 for u in inputs[t]]
            exact_y = [amplitude * math.sin(value - phase) for value in exact_x]
            for got, exact in ((x[t], exact_x), (y[t], exact_y)):
                error = (got.flatten().double() - torch.tensor(exact, dtype=torch.float64)).abs()
                half_ulp = torch.from_numpy(np.spacing(np.abs(np.float32(exact)))).double() / 2
                assert (error <= half_ulp * (1 + 1e-6)).all()

    def test_have_amplitudes_phases_and_inputs_in_the_ranges_of_the_paper(self) -> None:
        drawn = family_sampler(shots=10, queries=10)
        batch = drawn.range(0, 3000)
        parameters = drawn.draw(torch.arange(3000))[:, :2]
        for numbers in (*parameters.unbind(1), (batch.query_x.flatten().double() + 5) / 10):
            assert 0 <= numbers.min() < 0.002
            assert 0.998 < numbers.max() <= 1
            assert chisquare(torch.histc(numbers, 20, 0, 1)).pvalue > P_VALUE
        assert batch.query_y.abs().max() <= 5

    def test_have_a_mean_squared_error_of_4_252_for_a_predictor_of_zero(self) -> None:
        per_task = family_sampler().range(0, 40_000).query_y.double().square().mean((1, 2))
        standard_error = float(per_task.std()) / math.sqrt(len(per_task))
        assert standard_error < 0.025
        assert abs(float(per_task.mean()) - 4.252) < 3 * standard_error

    def test_have_a_mean_squared_error_of_3_006_for_the_best_predictor_without_adaptation(
        self,
    ) -> None:
        batch = family_sampler().range(0, 40_000)
        mean_wave = -2.55 * 2 / math.pi * batch.query_x.double().cos()
        per_task = (batch.query_y - mean_wave).square().mean((1, 2))
        assert abs(float(per_task.mean()) - 3.006) < 3 * float(per_task.std()) / math.sqrt(
            len(per_task)
        )

    def test_have_the_shapes_of_a_regression_batch(self) -> None:
        batch = family_sampler(shots=5, queries=10).range(3, 7)
        assert batch.support_x.shape == batch.support_y.shape == (4, 5, 1)
        assert batch.query_x.shape == batch.query_y.shape == (4, 10, 1)
        assert {tensor.dtype for tensor in tensors(batch)[:4]} == {torch.float32}
        assert (batch.ways, batch.classes.shape, batch.examples) == (0, (4, 0), 60)
