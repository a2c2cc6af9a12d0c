"""A download is complete and correct, or leaves what was there before."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from metabench.datasets.download import RemoteFile, VerifyReport, download, how_to_get
from metabench.errors import DataError

CONTENT = bytes(range(256)) * 1000
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requests.append(self.path)  # type: ignore[attr-defined]
        if self.path not in ("/good", "/cut", "/other", "/long", "/unsized"):
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        body = {"/cut": CONTENT[:1000], "/other": bytes(len(CONTENT))}.get(self.path, CONTENT)
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    monkeypatch.setenv("no_proxy", "*")
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.requests = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _file(
    server: HTTPServer, path: str, checksum: str = SHA256, size: int | None = None
) -> RemoteFile:
    return RemoteFile(
        f"http://127.0.0.1:{server.server_port}/{path}", f"{path}.bin", checksum, size
    )


@pytest.mark.parametrize("checksum", [SHA256, MD5])
@pytest.mark.parametrize("path", ["good", "unsized"])
def test_a_published_file_is_downloaded(
    server: HTTPServer, tmp_path: Path, path: str, checksum: str
) -> None:
    seen: list[tuple[str, int, int | None]] = []
    (target,) = download(
        "toy", [_file(server, path, checksum)], tmp_path / "new", progress=lambda *a: seen.append(a)
    )
    assert target.read_bytes() == CONTENT
    assert list((tmp_path / "new").iterdir()) == [target]
    assert seen[-1] == (f"{path}.bin", len(CONTENT), len(CONTENT) if path == "good" else None)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_only_missing_or_wrong_files_are_downloaded(server: HTTPServer, tmp_path: Path) -> None:
    (tmp_path / "good.bin").write_bytes(CONTENT)
    (tmp_path / "unsized.bin").write_bytes(b"wrong")
    paths = download("toy", [_file(server, "good"), _file(server, "unsized")], tmp_path)
    assert [path.read_bytes() for path in paths] == [CONTENT, CONTENT]
    assert server.requests == ["/unsized"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "size", "reported"),
    [
        ("cut", None, r"broke off after 1,000 of 256,000 bytes"),
        ("other", None, r"sent a different file: its checksum is sha256:"),
        ("unsized", 1000, r"sent more than the 1,000 bytes expected"),
        ("good", 256_001, r"broke off after 256,000 of 256,001 bytes"),
        ("absent", None, r"cannot be fetched: HTTP Error 404"),
    ],
)
def test_a_failed_download_leaves_the_old_file(
    server: HTTPServer, tmp_path: Path, path: str, size: int | None, reported: str
) -> None:
    before = tmp_path / f"{path}.bin"
    before.write_bytes(b"before")
    with pytest.raises(DataError, match=f"toy was not downloaded: .*{reported}") as caught:
        download("toy", [_file(server, path, size=size)], tmp_path)
    assert f"into {tmp_path} by hand" in caught.value.hint
    assert before.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [before]


def test_an_unreachable_server_is_one_clear_error(server: HTTPServer, tmp_path: Path) -> None:
    file = _file(server, "good")
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match="cannot be fetched") as caught:
        download("toy", [file], tmp_path)
    assert file.url in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_an_interrupted_download_leaves_nothing(server: HTTPServer, tmp_path: Path) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download("toy", [_file(server, "good")], tmp_path, progress=stop)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_one_clear_error_before_any_request(
    server: HTTPServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be written"):
        download("toy", [_file(server, "good")], tmp_path / "file" / "folder")
    assert not server.requests  # type: ignore[attr-defined]


def test_a_report_without_findings_is_ok() -> None:
    assert VerifyReport("toy").ok
    assert not VerifyReport("toy", ("one problem",)).ok


def test_the_hint_names_the_command_and_the_sources(tmp_path: Path) -> None:
    hint = how_to_get("toy", [RemoteFile("https://a.example/b.zip", "b.zip", MD5)], tmp_path)
    assert "`metabench data download toy`" in hint
    assert "https://a.example/b.zip" in hint
    assert str(tmp_path) in hint
