"""Zip files from untrusted sources are read only after every member was checked."""

import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabench.datasets.archive import check_member, open_zip
from metabench.errors import DataError


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _read_all(path: Path, **options: int) -> dict[str, bytes]:
    with open_zip(path, **options) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_members_of_a_valid_zip_are_readable(tmp_path: Path) -> None:
    members = {"one/two.txt": b"2", "three.txt": b"3", "empty/": b""}
    assert _read_all(_zip(tmp_path / "a.zip", members)) == members


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "..\\evil", "a/..", "/"]
)
def test_a_member_outside_the_archive_is_rejected(tmp_path: Path, name: str) -> None:
    path = _zip(tmp_path / "a.zip", {"good.txt": b"1", name: b"2"})
    with pytest.raises(DataError, match="not safe to read") as caught:
        _read_all(path)
    assert caught.value.hint


@given(
    parts=st.lists(
        st.sampled_from(["..", ".", "", "a", "b.png", "C:", "~", "\\", "..\\"]), min_size=1
    )
)
def test_an_accepted_name_stays_inside_the_archive(parts: list[str]) -> None:
    name = "/".join(parts)
    try:
        check_member(zipfile.ZipInfo(name))
    except DataError:
        return
    base = Path("/base").resolve()
    assert (base / name).resolve().is_relative_to(base)
    assert ".." not in parts


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_or_device_is_rejected(tmp_path: Path, kind: int) -> None:
    member = zipfile.ZipInfo("link")
    member.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match="link or a device"):
        _read_all(tmp_path / "a.zip")


def test_an_encrypted_member_is_rejected() -> None:
    member = zipfile.ZipInfo("secret")
    member.flag_bits |= 1
    with pytest.raises(DataError, match="encrypted"):
        check_member(member)


def test_a_zip_bomb_is_rejected_before_it_is_read(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {f"{n}.bin": bytes(100_000) for n in range(3)})
    assert path.stat().st_size < 2000
    with (
        pytest.raises(DataError, match=r"declares 300,000 bytes unpacked, where at most 200,000"),
        open_zip(path, max_bytes=200_000),
    ):
        raise AssertionError("it was opened")


def test_a_member_larger_than_it_declares_is_damage(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a.bin": bytes(100_000)})
    path.write_bytes(
        path.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    )
    with pytest.raises(DataError, match="is damaged"):
        _read_all(path)


@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_harmless_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, at: float, bit: int
) -> None:
    members = {"one/two.txt": b"some text, some text", "three.txt": b"3" * 100}
    path = _zip(tmp_path_factory.mktemp("flip") / "a.zip", members)
    raw = bytearray(path.read_bytes())
    raw[int(at * len(raw))] ^= 1 << bit
    path.write_bytes(raw)
    try:
        found = _read_all(path)
    except DataError:
        return
    assert set(found.values()) <= set(members.values())


def test_a_missing_file_is_not_a_readable_zip(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a readable zip file"):
        _read_all(tmp_path / "a.zip")
