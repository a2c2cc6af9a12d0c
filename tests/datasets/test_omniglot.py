"""Omniglot: what the real data give, and what is said about data that are not right."""

import io
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from metabench.datasets import omniglot
from metabench.datasets.archive import extract
from metabench.datasets.base import SPLITS
from metabench.datasets.omniglot import CONTENT_DIGEST, Omniglot
from metabench.datasets.omniglot_layout import Half, alphabet, official_halves
from metabench.datasets.omniglot_splits import SPLITTERS
from metabench.datasets.store import Downloadable
from metabench.errors import DataError, UsageError

# ---- the splits need no data


def test_omniglot_has_two_halves_of_30_and_20_alphabets() -> None:
    background, evaluation = official_halves()
    assert (len(background.characters), len(evaluation.characters)) == (964, 659)
    assert len(set(map(alphabet, background.characters))) == 30
    assert len(set(map(alphabet, evaluation.characters))) == 20


@pytest.mark.parametrize(
    ("split", "sizes"),
    [
        ("vinyals", (1028, 172, 423)),
        ("maml", (1100, 100, 423)),
        ("background-evaluation", (883, 81, 659)),
    ],
)
def test_a_split_shares_out_every_character_once(split: str, sizes: tuple[int, ...]) -> None:
    halves = official_halves()
    parts = SPLITTERS[split](halves)
    assert tuple(len(parts[part]) for part in SPLITS) == sizes
    every = [name for part in SPLITS for name in parts[part]]
    assert sorted(every) == sorted(halves[0].characters + halves[1].characters)


def test_background_evaluation_shares_no_alphabet() -> None:
    parts = SPLITTERS["background-evaluation"](official_halves())
    alphabets = [set(map(alphabet, parts[part])) for part in SPLITS]
    assert [len(names) for names in alphabets] == [25, 5, 20]
    assert len(set.union(*alphabets)) == 50


def test_the_maml_shuffle_never_changes() -> None:
    parts = SPLITTERS["maml"](official_halves())
    assert [parts[part][0] for part in SPLITS] == [
        "Malayalam/character19",
        "Grantha/character09",
        "Japanese_(katakana)/character07",
    ]


def test_an_unknown_split_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"unknown omniglot split 'vinyal'") as caught:
        Omniglot(split="vinyal")
    assert "vinyals, maml, background-evaluation" in caught.value.hint
    with pytest.raises(UsageError, match="unknown split 'val'"):
        Omniglot().pool("val")  # type: ignore[arg-type]


# ---- the real data


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
    dataset = real(split)
    pools = [dataset.pool(part) for part in SPLITS]
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
def test_an_image_is_pillows_rotated_and_resized(
    data: Path, real: Callable[[str], Omniglot], split: str
) -> None:
    """ProtoNet's script turns the large image and then resizes it with a filter that Pillow ignores."""
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
                    turned = image.rotate(90 * (row % 4)).resize((28, 28), Image.Resampling.LANCZOS)
                ink = torch.from_numpy(255 * (1 - np.asarray(turned, dtype=np.uint8)))
                assert torch.equal(pool.images[row, drawer, 0], ink)


def test_the_cache_gives_the_same_bits(
    real: Callable[[str], Omniglot], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = real("background-evaluation").pool("validation")
    monkeypatch.setattr(omniglot, "small_stack", _never)
    assert real("background-evaluation").pool("validation").digest == first.digest


def test_the_real_data_verify(data: Path) -> None:
    dataset = Omniglot(data)
    report = dataset.verify()
    assert report.ok, report.findings
    counts = {"alphabets": 50, "characters": 1623, "images": 32460}
    assert report.details == {**counts, "digest": CONTENT_DIGEST}
    assert dataset.status() == "zips"


def test_unpacked_data_verify_too(data: Path, tmp_path: Path) -> None:
    for half in ("images_background", "images_evaluation"):
        inner = extract(data / "omniglot" / f"{half}.zip", tmp_path / "unpacked") / half
        inner.rename(tmp_path / half)
        inner.parent.rmdir()
    dataset = Omniglot(tmp_path)
    assert dataset.status() == "folders"
    assert dataset.verify().details["digest"] == CONTENT_DIGEST


# ---- a small Omniglot: what can be wrong

BACKGROUND = Half(
    "images_background", ("Greek/character01", "Greek/character02", "Tagalog/character01")
)
EVALUATION = Half("images_evaluation", ("Tengwar/character01", "Tengwar/character02"))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Omniglot:
    """Two unpacked halves of generated drawings, and no data set but this."""
    monkeypatch.setattr(omniglot, "official_halves", lambda: (BACKGROUND, EVALUATION))
    monkeypatch.setenv("METABENCH_CACHE", str(tmp_path / "cache"))
    number = 0
    for half in (BACKGROUND, EVALUATION):
        for character in half.characters:
            number += 1
            folder = tmp_path / "data" / "omniglot" / half.name / character
            folder.mkdir(parents=True)
            for drawer in range(1, 21):
                _drawing(number, drawer).save(folder / f"{number:04}_{drawer:02}.png")
    return Omniglot(tmp_path / "data", split="background-evaluation")


def _drawing(number: int, drawer: int) -> Image.Image:
    image = Image.new("1", (105, 105), 1)
    ImageDraw.Draw(image).line((10, 10 * number, 90, 4 * drawer), fill=0, width=5)
    return image


def _pack(dataset: Omniglot, *, keep: bool = False) -> None:
    """Put zips in place of the folders."""
    for half in (BACKGROUND, EVALUATION):
        shutil.make_archive(str(dataset.folder / half.name), "zip", dataset.folder, half.name)
        if not keep:
            shutil.rmtree(dataset.folder / half.name)


def _again(dataset: Omniglot) -> Omniglot:
    return Omniglot(dataset.root, split=dataset.split)


def _never(*args: object, **kwargs: object) -> None:
    raise AssertionError("this must not be called")


def _fails(dataset: Omniglot, match: str) -> DataError:
    """The one clear error; nothing was cached for it."""
    with pytest.raises(DataError, match=match) as caught:
        _again(dataset).pool("train")
    assert caught.value.hint
    assert str(caught.value) in dataset.verify().findings
    return caught.value


def test_zips_and_folders_give_the_same_pools(small: Omniglot) -> None:
    assert isinstance(small, Downloadable)
    assert small.status() == "folders"
    unpacked = [small.pool(part).digest for part in SPLITS]
    content = small.verify().details["digest"]
    _pack(small)
    assert small.status() == "zips"
    assert [_again(small).pool(part).digest for part in SPLITS] == unpacked
    assert small.verify().details["digest"] == content


def test_one_half_may_be_packed(small: Omniglot) -> None:
    _pack(small, keep=True)
    (small.folder / "images_evaluation.zip").unlink()
    assert small.status() == "folders"
    assert small.pool("test").classes == 2


def test_the_root_may_be_the_folder_itself(small: Omniglot) -> None:
    itself = Omniglot(small.folder, split=small.split)
    assert itself.folder == small.folder
    assert itself.pool("train").digest == small.pool("train").digest


def test_an_image_of_eight_bits_is_read_like_one_of_one(small: Omniglot) -> None:
    before = small.pool("train").digest
    for path in (small.folder / "images_background").glob("*/*/*.png"):
        with Image.open(path) as image:
            image.convert("L").save(path)
    assert _again(small).pool("train").digest == before


def test_a_damaged_cache_is_made_again(small: Omniglot, tmp_path: Path) -> None:
    before = small.pool("train").digest
    (file,) = (tmp_path / "cache").rglob("omniglot-*.bin")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert _again(small).pool("train").digest == before
    assert file.read_bytes() == whole


def test_changed_data_are_read_again(small: Omniglot) -> None:
    before = small.pool("test").digest
    path = small.folder / "images_evaluation" / "Tengwar" / "character01" / "0004_01.png"
    _drawing(9, 20).save(path)
    os.utime(path, ns=(1, 1))
    assert _again(small).pool("test").digest != before


def test_other_images_do_not_verify(small: Omniglot) -> None:
    report = small.verify()
    assert not report.ok
    assert "are not the published ones" in report.findings[0]
    assert report.details["characters"] == 5


def test_missing_data_say_how_to_get_them(small: Omniglot) -> None:
    shutil.rmtree(small.folder)
    assert small.status() == "missing"
    error = _fails(small, "Omniglot is missing: there is no images_background.zip")
    assert "metabench data download omniglot" in error.hint
    assert str(small.folder) in error.hint


def test_half_of_the_data_are_incomplete(small: Omniglot) -> None:
    shutil.rmtree(small.folder / "images_evaluation")
    assert small.status() == "incomplete"
    _fails(
        small, r"half of Omniglot is missing: there is no images_evaluation\.zip \(or the folder"
    )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("lost", "what"),
    [
        ("Tagalog", r"1 alphabet\(s\) missing \(Tagalog\)"),
        ("Greek/character02", r"1 character\(s\) missing \(Greek/character02\)"),
        ("Greek/character01/0001_07.png", r"1 image\(s\) missing \(Greek/character01 drawer 07\)"),
    ],
)
def test_what_is_missing_is_named(small: Omniglot, lost: str, what: str, packed: bool) -> None:
    path = small.folder / "images_background" / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if packed:
        _pack(small)
    assert small.status() == "incomplete"
    _fails(small, f"is incomplete: {what}")


def test_a_long_list_is_cut_short(small: Omniglot) -> None:
    for drawer in range(1, 6):
        (
            small.folder / "images_background" / "Greek" / "character01" / f"0001_{drawer:02}.png"
        ).unlink()
    error = _fails(small, r"5 image\(s\) missing")
    assert "drawer 03, ...)" in error.message
    assert "drawer 04" not in error.message


def test_two_images_for_one_drawer_are_refused(small: Omniglot) -> None:
    folder = small.folder / "images_background" / "Greek" / "character01"
    shutil.copy(folder / "0001_01.png", folder / "0002_01.png")
    _fails(small, "two images for one drawer")


def _white() -> bytes:
    return _png(Image.new("1", (105, 105), 1))


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (_png(Image.new("1", (28, 28), 0)), "is 28 x 28 pixels, not 105 x 105"),
        (_white(), "has 0 dark pixels of 11025"),
        (_png(Image.new("1", (105, 105), 0)), "has 11025 dark pixels of 11025"),
        (b"", "is not a PNG image"),
        (b"GIF89a", "is not a PNG image"),
        (_white()[:60], "is not a readable image"),
    ],
)
def test_a_wrong_image_is_named(small: Omniglot, content: bytes, what: str, packed: bool) -> None:
    (small.folder / "images_evaluation" / "Tengwar" / "character02" / "0005_20.png").write_bytes(
        content
    )
    if packed:
        _pack(small)
    error = _fails(small, what)
    assert "Tengwar/character02/0005_20.png" in error.message
    assert not list(small.folder.parent.parent.rglob("*.bin"))


@pytest.mark.parametrize("keep", [0, 10, 5000])
def test_a_cut_zip_is_no_zip(small: Omniglot, keep: int) -> None:
    _pack(small)
    path = small.folder / "images_background.zip"
    path.write_bytes(path.read_bytes()[:keep])
    assert small.status() == "incomplete"
    _fails(small, r"images_background\.zip is not a readable zip file")


def test_a_zip_with_flipped_bits_is_damaged(small: Omniglot) -> None:
    _pack(small)
    path = small.folder / "images_background.zip"
    with zipfile.ZipFile(path) as archive:
        member = next(m for m in archive.infolist() if m.file_size)
    raw = bytearray(path.read_bytes())
    start = member.header_offset + 30 + len(member.filename)
    raw[start + 20 : start + 40] = bytes(20)
    path.write_bytes(raw)
    _fails(small, "is damaged")


def test_a_zip_that_climbs_out_is_unsafe(small: Omniglot) -> None:
    _pack(small)
    with zipfile.ZipFile(small.folder / "images_background.zip", "a") as archive:
        archive.writestr("../../evil.png", b"")
    assert small.status() == "incomplete"
    _fails(small, r"is not safe to unpack: .*'\.\./\.\./evil\.png'")


def test_a_download_leaves_right_data_alone(
    small: Omniglot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(omniglot, "CONTENT_DIGEST", small.verify().details["digest"])
    monkeypatch.setattr(omniglot, "download", _never)
    assert small.download() == [
        small.folder / "images_background",
        small.folder / "images_evaluation",
    ]


def test_a_download_without_network_says_where_to_put_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*args: object, **kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(
        DataError, match=r"omniglot was not downloaded: .*no route to host"
    ) as caught:
        Omniglot(tmp_path).download()
    assert f"into {tmp_path / 'omniglot'} by hand" in caught.value.hint
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
