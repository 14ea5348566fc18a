from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from refine_motion.errors import WeightsError
from refine_motion.models.load import load_model
from refine_motion.models.naming import official_to_torchvision
from refine_motion.models.published import PUBLISHED, cache_folder, fetch
from refine_motion.models.registry import BUILTIN, build_model

NAME = "raft_small_C_T_V1"


class Host:
    """A web server on this machine that stands in for the publisher's."""

    def __init__(self, body: bytes):
        self.body = body
        self.requests = 0
        # Half of the body is sent, then the server waits for this.
        self.go_on = threading.Event()
        self.go_on.set()
        self.half_sent = threading.Event()
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.requests += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(host.body)))
                self.end_headers()
                half = len(host.body) // 2
                self.wfile.write(host.body[:half])
                self.wfile.flush()
                host.half_sent.set()
                host.go_on.wait(20)
                self.wfile.write(host.body[half:])

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(scope="module")
def torchvision_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of the published kind: torchvision's names in torch's format."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("published") / "w.pth"
    torch.save(official_to_torchvision(build_model("raft_small").state_dict()), path)
    return path.read_bytes()


@pytest.fixture
def host(torchvision_file: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """The server holds the file; NAME points to it, and the cache is empty."""
    host = Host(torchvision_file)
    digest = hashlib.sha256(torchvision_file).hexdigest()[:8]
    entry = replace(PUBLISHED[NAME], url=f"{host.address}/models/{NAME}-{digest}.pth", sha256=digest)
    monkeypatch.setitem(PUBLISHED, NAME, entry)
    monkeypatch.setenv("REFINE_MOTION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield host
    host.go_on.set()
    host.server.shutdown()
    host.server.server_close()


def test_table() -> None:
    assert len(PUBLISHED) == 8
    for name, entry in PUBLISHED.items():
        assert entry.model in BUILTIN
        assert name.startswith(entry.model)
        assert re.fullmatch("[0-9a-f]{8}", entry.sha256)
        assert entry.url == f"https://download.pytorch.org/models/{name}-{entry.sha256}.pth"


def test_downloaded_once_and_loaded_by_name(host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load_model("raft_small", weights=NAME)
    torch.manual_seed(1)
    wanted = build_model("raft_small").state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in model.state_dict().items())
    files = list((tmp_path / "cache").iterdir())
    assert [f.name for f in files] == [PUBLISHED[NAME].url.rpartition("/")[2]]
    assert files[0].read_bytes() == host.body
    assert "BSD-3-Clause" in capsys.readouterr().err
    assert load_model(None, weights=NAME).name == "raft_small"
    assert host.requests == 1
    assert capsys.readouterr().err == ""


def test_file_of_that_name_comes_first(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(build_model("raft_large").state_dict(), NAME)
    assert load_model(None, weights=NAME).name == "raft_large"
    assert host.requests == 0


@pytest.mark.parametrize("damaged", [b"", b"half a file"])
def test_damaged_file_in_the_cache_is_replaced(host: Host, damaged: bytes) -> None:
    path = cache_folder() / PUBLISHED[NAME].url.rpartition("/")[2]
    path.parent.mkdir()
    path.write_bytes(damaged)
    assert fetch(NAME) == path
    assert path.read_bytes() == host.body
    assert host.requests == 1


def test_wrong_content_is_refused_and_not_kept(host: Host, tmp_path: Path) -> None:
    host.body = b"a log-in page"
    with pytest.raises(WeightsError, match="invalid hash value") as error:
        fetch(NAME)
    assert_tells_what_to_do(error.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_offline(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PUBLISHED, NAME, replace(PUBLISHED[NAME], url="http://127.0.0.1:1/models/w.pth"))
    with pytest.raises(WeightsError, match="refused") as error:
        fetch(NAME)
    assert_tells_what_to_do(error.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_cache_that_cannot_be_made(host: Host, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(WeightsError, match="FileExistsError") as error:
        fetch(NAME)
    assert_tells_what_to_do(error.value)


def assert_tells_what_to_do(error: WeightsError) -> None:
    entry = PUBLISHED[NAME]
    text = str(error)
    assert entry.url in text
    assert str(cache_folder() / entry.url.rpartition("/")[2]) in text
    assert entry.sha256 in text
    assert "\n" not in text


def test_only_whole_files_are_seen(host: Host) -> None:
    path = cache_folder() / PUBLISHED[NAME].url.rpartition("/")[2]
    host.go_on.clear()
    with ThreadPoolExecutor(3) as pool:
        fetched = [pool.submit(fetch, NAME) for _ in range(3)]
        assert host.half_sent.wait(20)
        assert not path.exists()
        host.go_on.set()
        assert {f.result(20) for f in fetched} == {path}
    assert path.read_bytes() == host.body
    assert [f.name for f in path.parent.iterdir()] == [path.name]


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REFINE_MOTION_CACHE", "~/weights")
    assert cache_folder() == Path.home() / "weights"
    monkeypatch.setenv("REFINE_MOTION_CACHE", "")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "hub" / "checkpoints"
