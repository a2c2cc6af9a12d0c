"""Zip files from elsewhere: unpacked inside their folder, wholly or not at all."""

import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabench.datasets.archive import check_member, extract
from metabench.errors import DataError


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _nothing_but(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_a_good_zip_is_unpacked(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"one/two.txt": b"2", "three.txt": b"3", "empty/": b""})
    folder = extract(path, tmp_path / "new" / "a")
    assert (folder / "one" / "two.txt").read_bytes() == b"2"
    assert _nothing_but(folder, "one", "three.txt", "empty")
    assert _nothing_but(folder.parent, "a")


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "..\\evil", "a/..", "/"]
)
def test_a_member_that_climbs_out_is_refused(tmp_path: Path, name: str) -> None:
    path = _zip(tmp_path / "a.zip", {"good.txt": b"1", name: b"2"})
    with pytest.raises(DataError, match="not safe to unpack") as caught:
        extract(path, tmp_path / "a")
    assert caught.value.hint
    assert _nothing_but(tmp_path, "a.zip")


@given(
    parts=st.lists(
        st.sampled_from(["..", ".", "", "a", "b.png", "C:", "~", "\\", "..\\"]), min_size=1
    )
)
def test_an_accepted_name_stays_inside(parts: list[str]) -> None:
    name = "/".join(parts)
    try:
        check_member(zipfile.ZipInfo(name))
    except DataError:
        return
    base = Path("/base").resolve()
    assert (base / name).resolve().is_relative_to(base)
    assert ".." not in parts


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_or_device_is_refused(tmp_path: Path, kind: int) -> None:
    member = zipfile.ZipInfo("link")
    member.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match="link or a device"):
        extract(tmp_path / "a.zip", tmp_path / "a")
    assert _nothing_but(tmp_path, "a.zip")


def test_an_encrypted_member_is_refused() -> None:
    member = zipfile.ZipInfo("secret")
    member.flag_bits |= 1
    with pytest.raises(DataError, match="encrypted"):
        check_member(member)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {f"{n}.bin": bytes(100_000) for n in range(3)})
    assert path.stat().st_size < 2000
    with pytest.raises(DataError, match=r"declares 300,000 bytes unpacked, where at most 200,000"):
        extract(path, tmp_path / "a", max_bytes=200_000)
    assert _nothing_but(tmp_path, "a.zip")


def test_a_member_larger_than_it_declares_is_damage(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a.bin": bytes(100_000)})
    path.write_bytes(
        path.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    )
    with pytest.raises(DataError, match="is damaged"):
        extract(path, tmp_path / "a")
    assert _nothing_but(tmp_path, "a.zip")


@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_harmless_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, at: float, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    path = _zip(folder / "a.zip", {"one/two.txt": b"some text, some text", "three.txt": b"3" * 100})
    raw = bytearray(path.read_bytes())
    raw[int(at * len(raw))] ^= 1 << bit
    path.write_bytes(raw)
    try:
        extract(path, folder / "a")
    except DataError:
        assert _nothing_but(folder, "a.zip")
    else:
        assert _nothing_but(folder, "a.zip", "a")


def test_a_file_in_the_way_of_a_folder_is_one_error(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a": b"1", "a/b": b"2"})
    with pytest.raises(DataError, match="cannot be unpacked"):
        extract(path, tmp_path / "a")
    assert _nothing_but(tmp_path, "a.zip")


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"one.txt": b"1"})
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="is there already"):
        extract(path, tmp_path / "a")
    assert not list((tmp_path / "a").iterdir())


def test_what_is_not_there_is_no_zip(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a readable zip file"):
        extract(tmp_path / "a.zip", tmp_path / "a")
