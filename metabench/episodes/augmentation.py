"""Augmentation of training images: random translations, and mirrored classes.

It belongs to the benchmark and happens where training data is drawn, so that all algorithms learn
from the same data. Like an episode, it is a pure function of a key and an index.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.episodes.sampler import Sampler
from metabench.episodes.types import TaskBatch
from metabench.runtime.counter_rng import below, random_bits


class AugmentedSampler(Sampler):
    """Augments the episodes of another sampler.

    Every image of an episode is translated on its own. A random half of an episode's classes is
    mirrored, in support and query alike, which makes new classes of them: class ``c`` of a pool of
    ``C`` classes becomes class ``c + C``.

    Args:
        sampler: The episodes, of images ``[channels, height, width]``.
        key: Identifies the random numbers of the augmentation.
        shift: The largest translation along each axis, in pixels.
        mirror: Whether to mirror classes.
        classes: The number of classes in the pool, ``C``.
    """

    def __init__(
        self, sampler: Sampler, key: int, *, shift: int, mirror: bool, classes: int
    ) -> None:
        super().__init__(sampler.protocol, key, sampler.device)
        self._sampler = sampler
        self._shift = shift
        self._mirror = mirror
        self._classes = classes
        # It hides the class attribute of the same name: how many to draw at once is up to what
        # draws.
        self.chunk_examples = sampler.chunk_examples  # type: ignore[misc]

    def tasks(self, indices: Tensor) -> TaskBatch:
        """Returns the episodes with these indices; see :class:`Sampler`."""
        return self._augment(self._sampler.tasks(indices), indices)

    def range(self, start: int, stop: int) -> TaskBatch:
        """Returns the episodes ``start`` to ``stop - 1``."""
        return self._augment(self._sampler.range(start, stop), torch.arange(start, stop))

    def fingerprint(self, indices: Tensor) -> bytes:
        """Returns bytes that identify what is drawn for these episodes."""
        bits = self._bits(indices.cpu())
        return self._sampler.fingerprint(indices) + bits.numpy().astype("<i8").tobytes()

    def source_digest(self) -> str:
        """Returns the sha256 of the data that episodes are drawn from."""
        return self._sampler.source_digest()

    def _bits(self, indices: Tensor) -> Tensor:
        return random_bits(self.key, indices, self.protocol.ways + 2 * self.protocol.examples)

    def _augment(self, batch: TaskBatch, indices: Tensor) -> TaskBatch:
        bits = self._bits(indices.to(self.device))
        by_class, by_example = bits.split([batch.ways, 2 * self.protocol.examples], 1)
        x = torch.cat([batch.support_x, batch.query_x], 1)
        classes = batch.classes
        if self._shift:
            x = translated(x, random_offsets(by_example, self._shift))
        if self._mirror:
            mirrored_classes = below(by_class, 2) == 1
            y = torch.cat([batch.support_y, batch.query_y], 1)
            x = mirrored(x, mirrored_classes.gather(1, y))
            classes = classes + self._classes * mirrored_classes
        shots = batch.support_x.shape[1]
        return dataclasses.replace(
            batch, support_x=x[:, :shots], query_x=x[:, shots:], classes=classes
        )


def augmented_examples(
    x: Tensor, y: Tensor, bits: Tensor, *, shift: int, mirror: bool, classes: int
) -> tuple[Tensor, Tensor]:
    """Augment single labelled examples as :class:`AugmentedSampler` augments episodes.

    Args:
        x: Images ``[B, channels, height, width]``.
        y: Their classes, int64 ``[B]``.
        bits: Random bits, int64 ``[B, 3]``.
        shift: The largest translation along each axis, in pixels.
        mirror: Whether to mirror half of the examples, each of which joins a class of its own.
        classes: The number of classes; the mirror image of class ``c`` is ``c + classes``.

    Returns:
        Images and classes of the same shapes.
    """
    by_class, by_example = bits.split([1, 2], 1)
    if shift:
        x = translated(x, random_offsets(by_example, shift))
    if mirror:
        chosen = below(by_class.squeeze(1), 2) == 1
        x, y = mirrored(x, chosen), y + classes * chosen
    return x, y


def random_offsets(bits: Tensor, pixels: int) -> Tensor:
    """Returns random translations.

    Args:
        bits: Random bits, int64 ``[..., 2 * B]``.
        pixels: The largest translation along each axis.

    Returns:
        Rows and columns to move by, int64 ``[..., B, 2]`` in ``-pixels..pixels``.
    """
    offsets: Tensor = below(bits, 2 * pixels + 1).unflatten(-1, (-1, 2))
    return offsets - pixels


def translated(x: Tensor, offsets: Tensor) -> Tensor:
    """Translate each image, and fill what becomes free with 0.

    Args:
        x: Images ``[..., channels, height, width]``.
        offsets: Rows down and columns to the right, int64 ``[..., 2]``.

    Returns:
        The same shape as ``x``.
    """
    pixels = int(offsets.abs().max())
    if pixels == 0:
        return x
    height, width = x.shape[-2:]
    padded = F.pad(x.flatten(0, -4), [pixels] * 4)
    # All windows of the image's size, as views: a quarter of the time of indices into pixels.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    down, right = (pixels - offsets.reshape(-1, 2)).T
    return windows[torch.arange(len(padded), device=x.device), :, down, right].reshape(x.shape)


def mirrored(x: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the chosen images from left to right.

    Args:
        x: Images ``[..., channels, height, width]``.
        chosen: bool ``[...]``.

    Returns:
        The same shape as ``x``.
    """
    return torch.where(chosen[..., None, None, None], x.flip(-1), x)
