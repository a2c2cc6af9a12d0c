"""``metabench list``, ``plugins``, ``data`` and ``env``, and what all commands share."""

import re
import socket
from pathlib import Path

import pytest

from metabench import __version__
from metabench.cli import COMMANDS

KINDS = (
    "algorithms",
    "benchmarks",
    "suites",
    "datasets",
    "backbones",
    "metrics",
    "executors",
    "formats",
)


class TestList:
    @pytest.mark.parametrize("kind", KINDS)
    def test_json_is_an_array_of_objects_with_a_name_and_a_version(
        self, metabench, planted, kind: str
    ) -> None:
        ended = metabench("list", kind, "--json")
        assert (ended.code, ended.err) == (0, "")
        assert ended.document
        for row in ended.document:
            assert isinstance(row["name"], str)
            assert isinstance(row["version"], str)

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_table_shows_the_same_names(self, metabench, planted, kind: str) -> None:
        names = {row["name"] for row in metabench("list", kind, "--json").document}
        table = metabench("list", kind).out.splitlines()
        assert {line.split()[0] for line in table[2:]} == names

    def test_it_shows_the_distribution_of_each(self, metabench, planted) -> None:
        rows = {row["name"]: row for row in metabench("list", "--json").document}
        assert rows["maml"]["distribution"] == "metabench"
        assert rows["learner"]["distribution"] == "metabench-planted"
        assert rows["learner"]["summary"].startswith("A linear embedding")

    def test_a_version_is_shown_as_it_is_written(self, metabench, planted, monkeypatch) -> None:
        from metabench.registry import Spec

        planted.registry.add("metric", Spec("ten", object, version="1.10"))
        assert "1.10" in metabench("list", "metrics").out

    def test_an_unknown_kind_is_a_usage_error(self, metabench) -> None:
        ended = metabench("list", "animals")
        assert (ended.code, ended.out) == (2, "")
        assert "'animals' is not one of" in ended.err


class TestPlugins:
    def test_json_has_the_documented_shape(self, metabench, planted) -> None:
        ended = metabench("plugins", "--json")
        assert (ended.code, ended.err) == (0, "")
        rows = {row["distribution"]: row for row in ended.document}
        for row in rows.values():
            assert row.keys() >= {"name", "distribution", "version", "status", "reason", "provides"}
            assert row["status"] in ("ok", "broken", "blocked")
        mine = rows["metabench-planted"]
        assert (mine["name"], mine["version"], mine["status"]) == ("planted", "3.1", "ok")
        assert mine["provides"]["datasets"] == ["blobs"]
        assert "maml" in rows["metabench"]["provides"]["algorithms"]

    def test_a_table_shows_the_same(self, metabench, planted) -> None:
        ended = metabench("plugins")
        assert ended.code == 0
        assert "metabench-planted" in ended.out
        assert "datasets: blobs" in ended.out

    def test_a_table_is_narrow_enough_to_show_the_reasons(self, metabench, planted) -> None:
        heading, *rows = metabench("plugins").out.splitlines()
        assert heading.split() == [
            "name",
            "distribution",
            "version",
            "status",
            "reason",
            "provides",
        ]
        (own,) = [row for row in rows if row.startswith("metabench ")]
        assert re.search(r"\d+ algorithms, \d+ datasets", own)
        assert "maml" not in own


class TestData:
    def test_list_shows_what_is_on_this_machine(self, metabench, planted, tmp_path: Path) -> None:
        ended = metabench("data", "list", "--json", "--data", tmp_path)
        assert ended.code == 0
        status = {row["name"]: row["status"] for row in ended.document}
        assert status["omniglot"] == "missing"
        assert status["glyphs"] == status["blobs"] == "embedded"
        assert all(row["version"] for row in ended.document)
        assert "omniglot" in metabench("data", "list").out

    def test_verify_of_a_missing_data_set_says_how_to_download_it_and_exits_with_1(
        self, metabench, tmp_path: Path
    ) -> None:
        ended = metabench("data", "verify", "omniglot", "--data", tmp_path)
        assert ended.code == 1
        assert "Omniglot is missing" in ended.out
        assert "metabench data download omniglot" in ended.out

    def test_verify_as_json_is_one_document(self, metabench, tmp_path: Path) -> None:
        ended = metabench("data", "verify", "omniglot", "--data", tmp_path, "--json")
        assert ended.code == 1
        assert (ended.document["name"], ended.document["ok"]) == ("omniglot", False)
        assert ended.document["findings"]

    def test_without_a_network_download_is_one_clear_error_and_leaves_no_file(
        self, metabench, tmp_path: Path, monkeypatch
    ) -> None:
        def unreachable(*arguments: object, **options: object) -> None:
            raise socket.gaierror(-3, "Temporary failure in name resolution")

        monkeypatch.setattr(socket, "getaddrinfo", unreachable)
        monkeypatch.setattr(socket, "create_connection", unreachable)
        ended = metabench("data", "download", "omniglot", "--data", tmp_path)
        assert (ended.code, ended.out) == (2, "")
        errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert "omniglot was not downloaded" in errors[0]
        assert "by hand" in ended.err
        assert "Traceback" not in ended.err
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    @pytest.mark.parametrize("verb", ["download", "verify"])
    def test_an_embedded_data_set_has_no_files(self, metabench, verb: str) -> None:
        ended = metabench("data", verb, "sinusoid")
        assert (ended.code, ended.out) == (2, "")
        assert "has no files" in ended.err

    @pytest.mark.parametrize("verb", ["download", "verify"])
    def test_an_unknown_data_set_is_an_error(self, metabench, verb: str) -> None:
        ended = metabench("data", verb, "omniglott")
        assert (ended.code, ended.out) == (2, "")
        assert "unknown dataset 'omniglott'. Did you mean 'omniglot'?" in ended.err


class TestEnv:
    def test_json_has_the_environment_of_a_record(self, metabench) -> None:
        ended = metabench("env", "--json", "--device", "cpu")
        assert ended.code == 0
        assert ended.document.keys() >= {
            "metabench",
            "python",
            "torch",
            "numpy",
            "cpu",
            "device",
            "threads",
            "cache",
        }
        assert ended.document["device"] == "cpu"

    def test_lines_show_the_same(self, metabench) -> None:
        assert "torch " in metabench("env").out

    def test_an_unavailable_device_is_an_error(self, metabench, monkeypatch) -> None:
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        assert metabench("env", "--device", "cuda").code == 2


class TestEveryCommand:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_each_has_help_with_a_description_and_its_options(
        self, metabench, command: str
    ) -> None:
        ended = metabench(command, "--help")
        assert ended.code == 0
        assert ended.out.startswith(f"Usage: metabench {command}")
        assert len(ended.out.splitlines()) > 4

    def test_the_version_is_shown(self, metabench) -> None:
        assert metabench("--version").out.strip().endswith(__version__)

    def test_an_unknown_command_is_a_usage_error(self, metabench) -> None:
        ended = metabench("rum")
        assert (ended.code, ended.out) == (2, "")
        assert "No such command 'rum'" in ended.err

    def test_no_command_shows_the_help(self, metabench) -> None:
        ended = metabench()
        assert ended.code in (0, 2)
        assert "Usage: metabench" in ended.out + ended.err

    def test_a_plugin_can_be_excluded(self, metabench, planted) -> None:
        from metabench.plugins import installed_plugins

        installed_plugins.cache_clear()
        rows = {
            row["name"]: row
            for row in metabench("--no-plugin", "planted", "plugins", "--json").document
        }
        assert rows["planted"]["status"] == "blocked"
        assert "drifter" not in metabench("list").out

    def test_an_interrupt_exits_with_130(self, metabench, monkeypatch) -> None:
        def interrupt(*arguments: object, **options: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("metabench.config.validate", interrupt)
        ended = metabench("run", "--all", "--seeds", "3")
        assert ended.code == 130
        assert "Traceback" not in ended.err
