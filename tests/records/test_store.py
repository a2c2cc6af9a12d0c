"""Records are written atomically and read with care."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from metabench.errors import ResultsError
from metabench.records.schema import AlgorithmId, Record
from metabench.records.store import ResultsFolder, read_record
from metabench.utils.digest import digest_of
from metabench.utils.files import atomic_path
from tests.helpers.cells import make_record


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    return ResultsFolder(tmp_path / "results")


def files_in(path: Path) -> list[str]:
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


def write_half(target: Path, error: BaseException) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error


def test_a_saved_record_loads_unchanged(folder: ResultsFolder) -> None:
    record = make_record(
        scores=(0.1, 1 / 3, 0.7), cost={"adapt_ms": 0.1 + 0.2, "peak_device_mb": None}
    )
    path = folder.save(record)
    assert read_record(path) == record
    assert folder.load() == ([record], [])


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_scores_survive_json_to_the_last_bit(a: float, b: float) -> None:
    record = make_record()
    record.metrics["accuracy"].episodes = [a, b]
    back = Record.model_validate_json(record.model_dump_json())
    assert [x.hex() for x in back.metrics["accuracy"].episodes] == [a.hex(), b.hex()]


def test_hyperparameters_keep_their_types() -> None:
    values = {"a": True, "b": 1, "c": 1.0, "d": "1"}
    back = AlgorithmId.model_validate_json(
        AlgorithmId(name="x", hyperparameters=values).model_dump_json()
    )
    assert {k: type(v) for k, v in back.hyperparameters.items()} == {
        "a": bool,
        "b": int,
        "c": float,
        "d": str,
    }


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": {"c": 2, "d": 3}}) == digest_of({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": "1"})


class TestWriting:
    def test_an_exception_during_a_write_leaves_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            write_half(tmp_path / "deep" / "file", KeyboardInterrupt())
        assert files_in(tmp_path) == []

    def test_an_exception_during_a_write_leaves_the_old_file(self, tmp_path: Path) -> None:
        target = tmp_path / "file"
        target.write_text("old")
        with pytest.raises(RuntimeError, match="planted"):
            write_half(target, RuntimeError("planted"))
        assert target.read_text() == "old"
        assert files_in(tmp_path) == ["file"]

    def test_a_failed_save_leaves_no_file(
        self, folder: ResultsFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*arguments: object, **options: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space"):
            folder.save(make_record())
        assert files_in(folder.path) == []

    @pytest.mark.parametrize("status", ["failed", "timeout", "skipped", "interrupted"])
    def test_an_ok_record_is_never_replaced_by_a_failure(self, folder, status: str) -> None:
        ok = make_record()
        failed = ok.model_copy(update={"status": status, "metrics": {}, "reason": "planted"})
        folder.save(ok)
        folder.save(failed)
        records, unreadable = folder.load()
        assert sorted(r.status for r in records) == sorted(["ok", status])
        assert not unreadable

    def test_an_ok_record_replaces_failures(self, folder: ResultsFolder) -> None:
        ok = make_record()
        failed = ok.model_copy(update={"status": "failed", "metrics": {}})
        for record in (failed, ok, failed, ok):
            folder.save(record)
        assert folder.load() == ([ok], [])

    def test_stale_temporary_files_are_removed_and_recent_ones_kept(self, folder) -> None:
        folder.checkpoints.mkdir(parents=True)
        old, new = folder.checkpoints / ".a.pt.1.tmp", folder.checkpoints / ".b.pt.2.tmp"
        for path in (old, new):
            path.write_text("half")
        os.utime(old, (time.time() - 7200,) * 2)
        folder.check_writable()
        assert files_in(folder.path) == ["checkpoints/.b.pt.2.tmp"]

    @pytest.mark.parametrize("below", ["file", "file/results"])
    def test_a_path_below_a_file_is_an_error_with_a_hint(self, tmp_path: Path, below: str) -> None:
        (tmp_path / "file").write_text("a file")
        folder = ResultsFolder(tmp_path / below)
        with pytest.raises(ResultsError, match="cannot be written") as caught:
            folder.check_writable()
        assert "--results" in caught.value.hint
        assert folder.load() == ([], [])

    def test_a_read_only_folder_is_an_error_with_its_reason(self, folder, monkeypatch) -> None:
        def refuse(*arguments: object, **options: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("metabench.utils.files.tempfile.mkstemp", refuse)
        with pytest.raises(ResultsError, match="Permission denied"):
            folder.check_writable()

    def test_check_writable_leaves_no_file(self, folder: ResultsFolder) -> None:
        folder.check_writable()
        assert files_in(folder.path) == []


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "../../escape",
            "/etc/passwd",
            "..",
            ".",
            "",
            "a/b\\c",
            "nul\0",
            "über",
            "x" * 500,
            "a\nb",
            ".json",
        ],
    )
    def test_a_hostile_name_never_leaves_the_folder(self, folder: ResultsFolder, name: str) -> None:
        record = make_record(name)
        path = folder.save(record)
        assert path.parent == folder.records / record.benchmark.title
        assert path.resolve().is_relative_to(folder.records.resolve())
        assert folder.load() == ([record], [])

    @given(st.text())
    def test_no_name_creates_a_path(self, name: str) -> None:
        file_name = make_record(name).file_name
        assert file_name.count("/") == 1
        assert not file_name.rpartition("/")[2].startswith(".")
        assert len(file_name) < 200

    @pytest.mark.parametrize("field", ["name", "version"])
    @pytest.mark.parametrize("value", ["../x", "a/b", "", ".hidden", "a b", "x" * 200, "a\n"])
    def test_a_benchmark_name_or_version_that_leaves_the_folder_is_invalid(
        self, field: str, value: str
    ) -> None:
        with pytest.raises(ValidationError):
            make_record(benchmark={field: value})

    def test_names_with_equal_safe_forms_have_different_files(self, folder: ResultsFolder) -> None:
        first, second = make_record("a/b"), make_record("a:b")
        assert folder.save(first) != folder.save(second)


def text_of(**changes: object) -> str:
    return json.dumps(json.loads(make_record().model_dump_json()) | changes)


class TestReading:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (make_record().model_dump_json()[:-40], "not a record"),
            ("", "not a record"),
            ("[1, 2]", "not a record"),
            ('{"name": "package", "dependencies": {}}', "not a record"),
            (text_of(schema_version=2), "schema version 2; this metabench reads version 1"),
            (text_of(surprise=1), "surprise"),
            (text_of(status="splendid"), "status"),
            (text_of(key="../../x"), "key"),
            (text_of(metrics={}), "it holds no accuracy of every episode"),
            (text_of().replace("0.25", "NaN"), "finite"),
            (text_of().replace("0.25", "Infinity"), "finite"),
            (text_of().replace("[0.25, 0.75]", "[0.25]"), "of every episode"),
            (text_of().replace("0.25", "null"), "valid number"),
        ],
        ids=lambda value: value[:24],
    )
    def test_an_invalid_file_is_left_out_and_reported_by_name(
        self, folder, text: str, says: str
    ) -> None:
        good = folder.save(make_record())
        bad = good.with_name("bad.json")
        bad.write_text(text)
        records, unreadable = folder.load()
        assert records == [make_record()]
        assert [file.path for file in unreadable] == [bad]
        assert says in unreadable[0].reason
        assert "\n" not in unreadable[0].reason

    def test_binary_files_and_folders_named_json_are_left_out(self, folder: ResultsFolder) -> None:
        folder.save(make_record())
        (folder.records / "binary.json").write_bytes(b"\xff\xfe\x00")
        (folder.records / "folder.json").mkdir()
        records, unreadable = folder.load()
        assert len(records) == 1
        assert sorted(file.path.name for file in unreadable) == ["binary.json", "folder.json"]

    def test_hidden_files_and_other_suffixes_are_ignored(self, folder: ResultsFolder) -> None:
        folder.save(make_record())
        (folder.records / ".half.json").write_text("{")
        (folder.records / "notes.txt").write_text("mine")
        assert folder.load() == ([make_record()], [])

    def test_a_folder_without_a_records_folder_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "one.json").write_text(make_record().model_dump_json())
        assert ResultsFolder(tmp_path).load() == ([make_record()], [])

    def test_a_missing_folder_is_empty_and_is_not_created(self, tmp_path: Path) -> None:
        assert ResultsFolder(tmp_path / "none").load() == ([], [])
        assert files_in(tmp_path) == []
        assert not (tmp_path / "none").exists()

    def test_an_ok_record_requires_its_scores(self) -> None:
        with pytest.raises(ValidationError, match="holds no accuracy"):
            make_record(scores=None, status="ok")
