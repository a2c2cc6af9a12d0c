"""Model-Agnostic Meta-Learning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from metabench.algorithms.base import Predictor, Value
from metabench.algorithms.problem import Problem
from metabench.episodes import Support
from metabench.learning.inner_loop import StepNorm, make_learner, sees_its_batch
from metabench.learning.outer_loop import MetaGradient
from metabench.learning.zero_head import many_ways


class MAML(MetaGradient):
    r"""Model-Agnostic Meta-Learning: learn an initialisation that a few gradient steps adapt well.

    .. math::
        \theta'_t = \theta - \alpha \nabla_\theta L^\text{support}_t(\theta), \qquad
        \theta \leftarrow \theta - \beta \nabla_\theta \textstyle\sum_t L^\text{query}_t(\theta'_t)

    Batch norm uses the statistics of the batch, so queries that are predicted together depend on each other
    (transductive), as in the paper's code; its shift is meta-learned and not adapted, and it has no scale.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400, algorithm 2; cbfinn/maml.
    Measured: leaderboards/omniglot (5-way 1-shot, with the learned head and four million examples, 98.0 of
    the paper's 98.7, and 96.8 on the paper's strided network; 5-shot 99.4 of 99.9; 20-way 1-shot 93.0 of
    95.8, 5-shot 97.8 of 98.9).
    The paper tests with as many queries as shots, all in one batch: with 5 ways and 1 shot, one of each
    class, and batch norm by five images. That is an easier question than 15 queries of each class. One
    learner, trained with 1 query on 200,000 examples of Omniglot, had 91.9, 90.0 and 89.2 % with 1, 3 and 15
    queries (meta-validation).
    Deviates: on images every episode starts from a head of zeros, and one of meta-training has 20 classes (40
    for 20 ways): what the paper's learned head comes to without the noise of how episodes number their
    classes (:class:`~metabench.learning.zero_head.ZeroHead`; ``zero_head=False``, ``train_ways=0`` and
    ``tasks=4`` are the learned one). 72,000 examples of Omniglot (5-way 1-shot, meta-validation) bring 88.8 %
    with the learned head and one step of 0.2, and from zeros 96.5, 96.3 and 95.7 % with three steps of 0.05,
    0.1 and 0.15, 95.6 % with two of 0.1. 24,000 of glyphs bring 84.9 % with the learned head, from zeros 85.7
    and 89.1 % with 0.05 and 0.15. More shots are trained from one: 16,000 examples of 5-shot glyphs bring
    90.9 % with the learned head, and with steps of 0.15 from zeros 92.3 % from five shots and 94.2 % from
    one. It trains on 1.2 million images at most, in about as long as the learned head on four, and on half of
    them for more shots.
    On images the inner steps at test are ten, or five with 20 ways, where each takes four times as long.
    Learners trained with three have, with 3, 5 and 10 at test (meta-validation), 93.5, 93.7 and 94.0 % of
    Omniglot (20-way 1-shot), 93.5, 94.2 and 95.0 % of 5-shot glyphs. Half the rate does as much for well
    trained learners (94.1 % of Omniglot, with three steps) and harms others (91.4 % of glyphs). With 20 ways
    and 5 shots, trained from one, the whole rate overshoots before it settles: FOMAML, half trained, has
    94.6, 92.0 and 96.9 % (30 episodes) with 3, 5 and 10 steps of 0.2, and 97.7 % with five of 0.1.
    It stands on the benchmark's own network, with max pools, as most methods do. The paper's Omniglot network
    halves by strides and takes the mean over space, and that is what kept MAML behind: 72,000 examples of
    Omniglot (5-way 1-shot, meta-validation) bring 83.3 % with it and 88.8 % with max pools in 2.6 times the
    seconds, 24,000 of glyphs 74.3 and, with 32 channels, 84.9 % in as many. The loss is a mean over examples
    where the paper's code sums over classes, so the paper's 0.4 for 5 ways and 0.1 for 20 is 2.0 here in
    both; features behind max pools are larger, and with 2.0 nothing is learned (37.7 %). With the learned
    head 0.1, 0.2 and 0.4 bring 87.9, 88.8 and 88.5 % of Omniglot, 83.8, 84.9 and 79.6 % of glyphs; from 5
    shots, 16,000 examples of glyphs, 90.9, 82.2 and 65.4 %, where the strided network had 77.1 %.
    A budget of a few million examples is a fifth of what the paper trains on, so outer steps are smaller (1
    task and not 32 or 16; 10 and not 25 for the sinusoid), and the outer learning rate is larger than the
    paper's 1e-3 and falls to 0 at the end. With 3 queries in training, 200,000 examples bring the strided
    network to 89.4 %; with 1, 7 and 15 to 88.7, 87.6 and 84.8 % (15 at test). Every example taking its turn
    in the support set brings 91.9 %, in 2.5 times the seconds, in which more examples bring as much.
    Half of the classes of a training episode are mirrored: classes that the data do not have. After 24,000
    examples of glyphs (5-way 1-shot, meta-validation) that brings 74.3 % where there are 72.8 % without, and
    73.5 % where images are moved by a pixel as well.
    Running statistics at test bring far less than the batch's from few outer steps: after 12,000 examples of
    glyphs 54.0 % for all steps together, 54.2 % for each step, and 84.2 % by the batch.
    The sinusoid's network has He's initialisation (:class:`metabench.backbones.mlp.MLP`).

    Args:
        problem: what it is built for.
        inner_lr: learning rate of the inner loop; `conv4-strided`, the paper's network, wants 2.0. With a
            head of zeros it is that of an episode with as many classes as at test.
        inner_steps: inner steps in meta-training.
        test_steps: inner steps at meta-test.
        test_lr: learning rate of the inner loop at meta-test; 0 means that of meta-training.
        tasks: tasks in an outer step.
        zero_head: whether every episode starts from a head of zeros, and nothing of the head is learned.
        train_ways: classes in an episode of meta-training, with a head of zeros; 0 means as at test.
        train_shots: support examples for each class in meta-training; 0 means as at test.
        train_queries: queries for each class in meta-training; 0 means as many as the shots.
        outer_lr: Adam's learning rate in the outer loop.
        anneal: let the outer learning rate fall to 0 along half a cosine.
        first_order: take the inner gradients as constants (FOMAML).
        mirror: whether half of the classes of a training episode are mirrored, where inputs are images.
        norm: the statistics that batch norm uses at test: the batch's own, or running ones of meta-training,
            for all steps together or for each (MAML++).
        backbone: the network below the head; by default the benchmark's own.

    Attributes:
        recompute: take inner steps again in the backward pass instead of keeping their graphs: for long loops
            whose memory does not suffice. It changes no number.

    Raises:
        NotApplicable: a head of zeros for regression.
        UsageError: other ways in training than at test for a learned head.
    """

    name: ClassVar[str] = "maml"
    version: ClassVar[str] = "2"
    second_order: ClassVar[bool] = True
    recompute = False

    def __init__(
        self,
        problem: Problem,
        *,
        inner_lr: float = 0.2,
        inner_steps: int = 1,
        test_steps: int = 3,
        test_lr: float = 0.0,
        tasks: int = 4,
        zero_head: bool = False,
        train_ways: int = 0,
        train_shots: int = 0,
        train_queries: int = 0,
        outer_lr: float = 3e-3,
        anneal: bool = True,
        first_order: bool = False,
        mirror: bool = True,
        norm: StepNorm = "batch",
        backbone: str = "",
    ) -> None:
        super().__init__(problem)
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.test_steps = test_steps
        self.test_lr = test_lr or inner_lr
        self.tasks = tasks
        self.start_from(zero_head=zero_head, train_ways=train_ways)
        self.train_shots = train_shots or problem.shots
        self.train_queries = train_queries or self.train_shots
        self.outer_lr = outer_lr
        self.anneal = anneal
        self.mirror = mirror and problem.images
        self.gradient_order = 2 if self.second_order and not first_order else 1
        self.learner = make_learner(
            problem, backbone, zero_head=zero_head, norm=norm, scale=False, steps=inner_steps + 1
        )
        self.transductive = sees_its_batch(self.learner)

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, Value]:
        """The sinusoid as in the paper; images from a head of zeros."""
        if problem.regression:
            return {
                "inner_lr": 0.01,
                "test_steps": 1,
                "tasks": 10,
                "train_shots": 10,
                "outer_lr": 5e-3,
            }
        many = problem.ways >= 20
        own = {"inner_lr": image_rate(problem), "inner_steps": 3, "test_steps": 5 if many else 10}
        if many and problem.shots > 1:
            # Trained as for one shot; five steps of that rate do not settle on more.
            own |= {"inner_lr": 0.2, "test_lr": 0.1}
        return image_recipe(problem, budget=1_200_000) | own

    def adapts(self, name: str) -> bool:
        """Whether the inner loop adapts a parameter of the learner: all but the shifts of batch norm."""
        return not name.endswith("beta")

    def path(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        rate = (self.inner_lr if self.training else self.test_lr) * self.rate_for(support)
        return self.descend(support, rate=rate, adapted=self.adapts, recompute=self.recompute)


def image_recipe(problem: Problem, *, budget: int) -> dict[str, Value]:
    """What methods of this kind have in common on images: one task of many classes, from a head of zeros.

    Args:
        problem: the problem.
        budget: examples for one shot; from more shots, which ask less of an initialisation, half of them do.
    """
    images: dict[str, Value] = {
        "zero_head": True,
        "train_ways": many_ways(problem),
        "train_queries": 3,
        "tasks": 1,
        "budget": budget,
    }
    if problem.shots > 1:
        images |= {"train_shots": 1, "budget": budget // 2}  # more episodes for the same examples
    return images


def image_rate(problem: Problem) -> float:
    """The inner learning rate that goes with a head of zeros: larger where more examples agree on a step."""
    rate = 0.1 if problem.ways < 20 else 0.2
    return rate if problem.shots == 1 else 1.5 * rate
