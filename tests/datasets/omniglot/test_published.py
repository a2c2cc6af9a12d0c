"""The published Omniglot: its pools have the papers' sizes and Pillow's pixels."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metabench.datasets.base import SPLITS
from metabench.datasets.omniglot import Omniglot, dataset
from metabench.datasets.omniglot.dataset import CONTENT_DIGEST
from metabench.datasets.omniglot.layout import alphabet


def never(*args: object, **kwargs: object) -> None:
    raise AssertionError("this must not be called")


@pytest.fixture(scope="module")
def real_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def real(
    data: Path, real_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Omniglot]:
    monkeypatch.setenv("METABENCH_CACHE", str(real_cache))
    return lambda split: Omniglot(data, split=split)


@pytest.mark.parametrize(
    ("split", "rows"),
    [
        ("vinyals", (4112, 688, 1692)),
        ("maml", (4400, 400, 1692)),
        ("background-evaluation", (883, 81, 659)),
    ],
)
def test_the_pools_have_the_sizes_of_the_papers(
    real: Callable[[str], Omniglot], split: str, rows: tuple[int, ...]
) -> None:
    omniglot = real(split)
    pools = [omniglot.pool(subset) for subset in SPLITS]
    assert [tuple(pool.images.shape) for pool in pools] == [(n, 20, 1, 28, 28) for n in rows]
    assert [pool.variants for pool in pools] == [4 if split == "maml" else 1] * 3
    origins = [set(pool.origins) for pool in pools]
    assert sum(map(len, origins)) == len(set.union(*origins)) == 1623
    for pool in pools:
        assert pool.input_shape == Omniglot.input_shape
        assert pool.groups == tuple(map(alphabet, pool.class_names))
        ink, paper = int((pool.images == 255).sum()), int((pool.images == 0).sum())
        assert ink + paper == pool.images.numel()
        assert 0.05 < ink / pool.images.numel() < 0.1


def test_a_vinyals_class_is_one_rotation(real: Callable[[str], Omniglot]) -> None:
    pool = real("vinyals").pool("test")
    assert pool.class_names[:5] == (
        "Gurmukhi/character42/rot000",
        "Gurmukhi/character42/rot090",
        "Gurmukhi/character42/rot180",
        "Gurmukhi/character42/rot270",
        "Gurmukhi/character43/rot000",
    )
    assert pool.origins[:5] == ("Gurmukhi/character42",) * 4 + ("Gurmukhi/character43",)


@pytest.mark.parametrize("split", ["vinyals", "maml"])
def test_an_image_is_rotated_and_resized_as_by_pillow(
    data: Path, real: Callable[[str], Omniglot], split: str
) -> None:
    """ProtoNet's script rotates the large image, then resizes it with an ignored filter."""
    pool = real(split).pool("test")
    with zipfile.ZipFile(data / "omniglot" / "images_evaluation.zip") as archive:
        names = {name.rpartition("/")[0]: [] for name in archive.namelist()}
        for name in archive.namelist():
            names[name.rpartition("/")[0]].append(name)
        for row in range(0, len(pool.images), 97):
            origin = pool.origins[row // pool.variants]
            files = sorted(names.get(f"images_evaluation/{origin}", []))
            for drawer, file in list(enumerate(files))[::7]:
                with Image.open(io.BytesIO(archive.read(file))) as image:
                    rotated = image.rotate(90 * (row % 4)).resize(
                        (28, 28), Image.Resampling.LANCZOS
                    )
                ink = torch.from_numpy(255 * (1 - np.asarray(rotated, dtype=np.uint8)))
                assert torch.equal(pool.images[row, drawer, 0], ink)


def test_a_cached_pool_has_the_same_bits(
    real: Callable[[str], Omniglot], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = real("background-evaluation").pool("validation")
    monkeypatch.setattr(dataset, "small_stack", never)
    assert real("background-evaluation").pool("validation").digest == first.digest


def test_the_published_data_verify(data: Path) -> None:
    omniglot = Omniglot(data)
    report = omniglot.verify()
    assert report.ok, report.findings
    counts = {"alphabets": 50, "characters": 1623, "images": 32460}
    assert report.details == {**counts, "digest": CONTENT_DIGEST}
    assert omniglot.status() == "zips"


def test_unpacked_data_verify(data: Path, tmp_path: Path) -> None:
    for half in ("images_background", "images_evaluation"):
        with zipfile.ZipFile(data / "omniglot" / f"{half}.zip") as archive:
            archive.extractall(tmp_path)
    omniglot = Omniglot(tmp_path)
    assert omniglot.status() == "folders"
    assert omniglot.verify().details["digest"] == CONTENT_DIGEST
