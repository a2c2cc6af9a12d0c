"""A small Omniglot on disk: zips, folders, the cache, and what is reported about wrong data."""

import io
import os
import shutil
import zipfile
from pathlib import Path
from urllib.error import URLError

import pytest
from PIL import Image, ImageDraw

from metabench.datasets.base import SPLITS
from metabench.datasets.download import Downloadable
from metabench.datasets.omniglot import Omniglot, dataset
from metabench.datasets.omniglot.layout import Half
from metabench.errors import DataError

BACKGROUND = Half(
    "images_background", ("Greek/character01", "Greek/character02", "Tagalog/character01")
)
EVALUATION = Half("images_evaluation", ("Tengwar/character01", "Tengwar/character02"))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Omniglot:
    """Two unpacked halves of generated drawings in place of the published ones."""
    monkeypatch.setattr(dataset, "official_halves", lambda: (BACKGROUND, EVALUATION))
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


def _pack(small: Omniglot, *, keep: bool = False) -> None:
    """Replaces the folders by zips; `keep` leaves the folders as well."""
    for half in (BACKGROUND, EVALUATION):
        shutil.make_archive(str(small.folder / half.name), "zip", small.folder, half.name)
        if not keep:
            shutil.rmtree(small.folder / half.name)


def _reopened(small: Omniglot) -> Omniglot:
    return Omniglot(small.root, split=small.split)


def _never(*args: object, **kwargs: object) -> None:
    raise AssertionError("this must not be called")


def _fails(small: Omniglot, match: str) -> DataError:
    """Asserts that loading and verifying report the same error, with a hint."""
    with pytest.raises(DataError, match=match) as caught:
        _reopened(small).pool("train")
    assert caught.value.hint
    assert str(caught.value) in small.verify().findings
    return caught.value


def test_zips_and_folders_give_the_same_pools(small: Omniglot) -> None:
    assert isinstance(small, Downloadable)
    assert small.status() == "folders"
    unpacked = [small.pool(subset).digest for subset in SPLITS]
    content = small.verify().details["digest"]
    _pack(small)
    assert small.status() == "zips"
    assert [_reopened(small).pool(subset).digest for subset in SPLITS] == unpacked
    assert small.verify().details["digest"] == content


def test_one_half_may_be_zipped(small: Omniglot) -> None:
    _pack(small, keep=True)
    (small.folder / "images_evaluation.zip").unlink()
    assert small.status() == "folders"
    assert small.pool("test").classes == 2


def test_the_root_may_be_the_folder_itself(small: Omniglot) -> None:
    itself = Omniglot(small.folder, split=small.split)
    assert itself.folder == small.folder
    assert itself.pool("train").digest == small.pool("train").digest


def test_an_image_of_eight_bits_is_read_as_one_of_one_bit(small: Omniglot) -> None:
    before = small.pool("train").digest
    for path in (small.folder / "images_background").glob("*/*/*.png"):
        with Image.open(path) as image:
            image.convert("L").save(path)
    assert _reopened(small).pool("train").digest == before


def test_a_damaged_cache_file_is_replaced(small: Omniglot, tmp_path: Path) -> None:
    before = small.pool("train").digest
    (file,) = (tmp_path / "cache").rglob("omniglot-*.bin")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert _reopened(small).pool("train").digest == before
    assert file.read_bytes() == whole


def test_changed_files_are_decoded_again(small: Omniglot) -> None:
    before = small.pool("test").digest
    path = small.folder / "images_evaluation" / "Tengwar" / "character01" / "0004_01.png"
    _drawing(9, 20).save(path)
    os.utime(path, ns=(1, 1))
    assert _reopened(small).pool("test").digest != before


def test_images_that_are_not_the_published_ones_do_not_verify(small: Omniglot) -> None:
    report = small.verify()
    assert not report.ok
    assert "are not the published ones" in report.findings[0]
    assert report.details["characters"] == 5


def test_missing_data_are_reported_with_how_to_get_them(small: Omniglot) -> None:
    shutil.rmtree(small.folder)
    assert small.status() == "missing"
    error = _fails(small, "Omniglot is missing: there is no images_background.zip")
    assert "metabench data download omniglot" in error.hint
    assert str(small.folder) in error.hint


def test_a_missing_half_is_reported(small: Omniglot) -> None:
    shutil.rmtree(small.folder / "images_evaluation")
    assert small.status() == "incomplete"
    _fails(
        small, r"half of Omniglot is missing: there is no images_evaluation\.zip \(or the folder"
    )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("lost", "reported"),
    [
        ("Tagalog", r"1 alphabet missing \(Tagalog\)"),
        ("Greek/character02", r"1 character missing \(Greek/character02\)"),
        ("Greek/character01/0001_07.png", r"1 image missing \(Greek/character01 drawer 07\)"),
    ],
)
def test_missing_files_are_reported_by_name(
    small: Omniglot, lost: str, reported: str, packed: bool
) -> None:
    path = small.folder / "images_background" / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if packed:
        _pack(small)
    assert small.status() == "incomplete"
    _fails(small, f"is incomplete: {reported}")


def test_only_three_missing_images_are_listed(small: Omniglot) -> None:
    for drawer in range(1, 6):
        (
            small.folder / "images_background" / "Greek" / "character01" / f"0001_{drawer:02}.png"
        ).unlink()
    error = _fails(small, r"5 images missing")
    assert "drawer 03, ...)" in error.message
    assert "drawer 04" not in error.message


def test_two_images_for_one_drawer_are_rejected(small: Omniglot) -> None:
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
    ("content", "reported"),
    [
        (_png(Image.new("1", (28, 28), 0)), "is 28 x 28 pixels, not 105 x 105"),
        (_white(), "has 0 dark pixels of 11025"),
        (_png(Image.new("1", (105, 105), 0)), "has 11025 dark pixels of 11025"),
        (b"", "is not a PNG image"),
        (b"GIF89a", "is not a PNG image"),
        (_white()[:60], "is not a readable image"),
    ],
)
def test_an_invalid_image_is_reported_by_name(
    small: Omniglot, content: bytes, reported: str, packed: bool
) -> None:
    (small.folder / "images_evaluation" / "Tengwar" / "character02" / "0005_20.png").write_bytes(
        content
    )
    if packed:
        _pack(small)
    error = _fails(small, reported)
    assert "Tengwar/character02/0005_20.png" in error.message
    assert not list(small.folder.parent.parent.rglob("*.bin"))


@pytest.mark.parametrize("keep", [0, 10, 5000])
def test_a_truncated_zip_is_not_readable(small: Omniglot, keep: int) -> None:
    _pack(small)
    path = small.folder / "images_background.zip"
    path.write_bytes(path.read_bytes()[:keep])
    assert small.status() == "incomplete"
    _fails(small, r"images_background\.zip is not a readable zip file")


def test_a_zip_with_changed_bytes_is_damaged(small: Omniglot) -> None:
    _pack(small)
    path = small.folder / "images_background.zip"
    with zipfile.ZipFile(path) as archive:
        member = next(m for m in archive.infolist() if m.file_size)
    raw = bytearray(path.read_bytes())
    start = member.header_offset + 30 + len(member.filename)
    raw[start + 20 : start + 40] = bytes(20)
    path.write_bytes(raw)
    _fails(small, "is damaged")


def test_a_zip_with_a_member_outside_itself_is_not_safe(small: Omniglot) -> None:
    _pack(small)
    with zipfile.ZipFile(small.folder / "images_background.zip", "a") as archive:
        archive.writestr("../../evil.png", b"")
    assert small.status() == "incomplete"
    _fails(small, r"is not safe to read: .*'\.\./\.\./evil\.png'")


def test_a_download_keeps_correct_data(small: Omniglot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "CONTENT_DIGEST", small.verify().details["digest"])
    monkeypatch.setattr(dataset, "download", _never)
    assert small.download() == [
        small.folder / "images_background",
        small.folder / "images_evaluation",
    ]


def test_a_download_without_a_network_says_where_to_put_the_files(
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
