"""Glyphs has the same drawings on every machine, and is as hard as Omniglot."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metabench.datasets.base import SPLITS, ClassPool
from metabench.datasets.glyphs import Glyphs, contact_sheet, dataset
from metabench.datasets.glyphs.random_ints import approx_normal, below, bits
from metabench.datasets.glyphs.render import render
from metabench.datasets.glyphs.strokes import make_characters
from metabench.errors import DataError, UsageError

POOL_DIGESTS = {
    ("mixed", "train"): "2a6144547b69752f5fdcc1f4ae91c1ffb3b2fa5a6edf1e5169d83d11bb034f51",
    ("mixed", "validation"): "b1396f80c006c9e5ccaa452b57b462e826e38fcc97b8e02bf25dda788e7ca02a",
    ("mixed", "test"): "ec3e5f7235a617bc692103e2e6a76fd567ca3e18ac6ab44d81955000b7976e31",
    ("alphabets", "train"): "dbf029434724cd3c038007413436f9fae8c94b3cdd85a1291cc5ebf67bef1055",
    ("alphabets", "validation"): "045cd16917f81faf112291dabd7f94247fbf4b44ad8c271b015818e807bb9d54",
    ("alphabets", "test"): "50992cf202fac69c0de793ca49fab0e8308fcd26d3ee8a54401c519543715f1f",
}


@pytest.fixture(scope="module")
def rendered() -> np.ndarray:
    """The drawings, rendered without a cache."""
    return render(make_characters())


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("METABENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def renderings(rendered, monkeypatch):
    """A list that grows by one whenever the data set renders, which takes no time here."""
    calls = []

    def counting(characters):
        calls.append(characters)
        return rendered

    monkeypatch.setattr(dataset, "render", counting)
    return calls


@pytest.fixture
def cache(fresh_cache, renderings):
    """A cache folder of its own, filled with the drawings rendered once for all tests."""
    return fresh_cache


def pools(split: str) -> dict[str, ClassPool]:
    return {subset: Glyphs(split=split).pool(subset) for subset in SPLITS}


@pytest.mark.parametrize(("split", "subset"), POOL_DIGESTS)
def test_the_pools_have_the_committed_digests(cache, split, subset):
    assert Glyphs(split=split).pool(subset).digest == POOL_DIGESTS[split, subset]


def test_random_integers_are_fixed():
    assert bits("test", np.arange(2)).tolist() == [3872761816003660116, 2266934488578506288]
    assert below(100, "test", np.arange(4)).tolist() == [20, 12, 64, 2]
    assert approx_normal(100, "test", np.arange(4)).tolist() == [-61, -46, -153, -103]


def test_approximately_normal_integers_have_mean_zero_and_the_given_deviation():
    drawn = approx_normal(1000, "test", np.arange(100_000))
    assert abs(drawn.mean()) < 15
    assert drawn.std() == pytest.approx(1000, rel=0.01)


def test_rendering_has_the_committed_digest(rendered):
    assert hashlib.sha256(np.packbits(rendered == 255).tobytes()).hexdigest() == dataset.DIGEST


def test_rendering_twice_gives_the_same_bits(rendered):
    assert np.array_equal(render(make_characters()), rendered)


@pytest.mark.parametrize("split", ["mixed", "alphabets"])
def test_splits_contain_every_class_once(cache, split):
    subsets = pools(split)
    names = [name for pool in subsets.values() for name in pool.class_names]
    assert len(names) >= 1200
    assert len(set(names)) == len(names)
    assert min(pool.classes for pool in subsets.values()) >= 100


@pytest.mark.parametrize("split", ["mixed", "alphabets"])
def test_pools_are_binary_images_of_twenty_drawers(cache, split):
    for pool in pools(split).values():
        assert pool.images.dtype == torch.uint8
        assert pool.images.shape == (pool.classes, 20, *Glyphs.input_shape)
        assert ((pool.images == 0) | (pool.images == 255)).all()
        assert pool.variants == 1
        assert all(
            name.startswith(f"{g}/") for name, g in zip(pool.class_names, pool.groups, strict=True)
        )


def test_each_alphabet_is_in_one_split_when_split_by_alphabet(cache):
    groups = [set(pool.groups) for pool in pools("alphabets").values()]
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_alphabets_are_in_all_splits_when_mixed(cache):
    groups = [set(pool.groups) for pool in pools("mixed").values()]
    assert len(set.intersection(*groups)) > 30


def test_alphabets_are_of_unequal_size(cache):
    groups = [group for pool in pools("mixed").values() for group in pool.groups]
    sizes = [groups.count(group) for group in set(groups)]
    assert 40 <= len(sizes) <= 50
    assert min(sizes) >= 15
    assert max(sizes) <= 45
    assert len(set(sizes)) > 10


def test_every_drawing_has_ink_and_paper(cache):
    for pool in pools("mixed").values():
        ink = (pool.images > 0).float().mean(dim=(2, 3, 4))
        assert ink.min() > 0.005
        assert ink.max() < 0.35
        assert ink.mean() == pytest.approx(0.08, abs=0.015)


def test_no_two_drawings_of_a_class_and_no_two_classes_are_the_same(cache):
    for pool in pools("mixed").values():
        rows = pool.images.flatten(2).numpy()
        drawings = {row.tobytes() for row in rows.reshape(-1, rows.shape[-1])}
        assert len(drawings) > 0.999 * pool.classes * pool.examples
        assert all(len({drawing.tobytes() for drawing in row}) == 20 for row in rows)
        assert len({row.tobytes() for row in rows}) == pool.classes


def nearest_mean(pool: ClassPool, ways: int, shots: int, episodes: int = 100) -> float:
    """The accuracy of the nearest class mean in pixel space, with 5 queries a class."""
    draw = np.random.default_rng(0)
    classes = draw.permuted(np.tile(np.arange(pool.classes), (episodes, 1)), axis=1)[:, :ways]
    drawers = draw.permuted(np.tile(np.arange(20), (episodes, ways, 1)), axis=2)[..., : shots + 5]
    x = pool.images.flatten(2)[classes[..., None], drawers].float()
    nearest = torch.cdist(x[:, :, shots:].flatten(1, 2), x[:, :, :shots].mean(dim=2)).argmin(dim=2)
    return (
        100 * (nearest.view(episodes, ways, 5) == torch.arange(ways)[:, None]).float().mean().item()
    )


@pytest.mark.parametrize(("ways", "shots", "omniglot"), [(5, 1, 37.7), (5, 5, 65.9), (20, 1, 18.0)])
def test_nearest_mean_is_as_accurate_as_on_omniglot(cache, ways, shots, omniglot):
    assert nearest_mean(Glyphs().pool("test"), ways, shots) == pytest.approx(omniglot, abs=6)


def test_an_unknown_split_option_is_a_usage_error_with_the_known_ones():
    with pytest.raises(UsageError, match="mixed, alphabets"):
        Glyphs(split="drawers")


def test_an_unknown_split_is_a_usage_error():
    with pytest.raises(UsageError, match="validation"):
        Glyphs().pool("dev")


def test_the_second_load_comes_from_the_cache(fresh_cache, renderings):
    first = Glyphs().pool("test")
    second = Glyphs().pool("test")
    assert len(renderings) == 1
    assert first.digest == second.digest
    assert [file.name for file in fresh_cache.iterdir()] == [f"glyphs-1-{dataset.DIGEST[:12]}.bin"]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:1000], lambda data: b"\xff" + data[1:], lambda _: b""]
)
def test_a_damaged_cache_file_is_replaced(fresh_cache, renderings, damage):
    whole = Glyphs().pool("test").digest
    (file,) = fresh_cache.iterdir()
    intact = file.read_bytes()
    file.write_bytes(damage(intact))
    assert Glyphs().pool("test").digest == whole
    assert len(renderings) == 2
    assert file.read_bytes() == intact


def test_an_unwritable_cache_folder_is_ignored(renderings, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("METABENCH_CACHE", str(tmp_path / "file" / "cache"))
    assert Glyphs().pool("validation").classes > 100


def test_a_failed_write_leaves_no_file(fresh_cache, renderings, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert Glyphs().pool("validation").classes > 100
    assert list(fresh_cache.iterdir()) == []


def test_drawings_with_a_different_digest_are_rejected(fresh_cache, renderings, monkeypatch):
    monkeypatch.setattr(dataset, "DIGEST", "0" * 64)
    with pytest.raises(DataError, match="000000000000"):
        Glyphs().pool("test")


def test_a_contact_sheet_has_one_row_per_class(cache, tmp_path):
    contact_sheet(Glyphs().pool("test"), tmp_path / "sheet.png", rows=3, columns=4, scale=2)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG"
        assert image.size == (4 * 30 * 2, 3 * 30 * 2)
        assert {colour for _, colour in image.getcolors()} == {0, 200, 255}
