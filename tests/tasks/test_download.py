"""Datasets are fetched from a server on this machine that cuts, lies and offers archives."""

from __future__ import annotations

import hashlib
import http.server
import io
import threading
import zipfile

import pytest

from vqdna.errors import InputError
from vqdna.tasks.download import addresses, get_dataset
from vqdna.tasks.registry import Dataset, dataset

BODY = ("sequence,label\n" + "".join(f"{'ACGT' * 20},{number % 2}\n" for number in range(4000))).encode()
SUM = hashlib.sha256("".join(f"{'ACGT' * 20},{number % 2}\n" for number in range(4000)).encode()).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; `cuts` is how many answers end in the middle; `asked` lists the ranges that clients wanted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cuts = 0
        self.asked: list[str | None] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body = self.server.files.get(self.path.strip("/"))
        if body is None:
            self.send_error(404)
            return
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        cut, self.server.cuts = self.server.cuts > 0, max(0, self.server.cuts - 1)
        self.wfile.write(body[start : start + (len(body) - start) // 2] if cut else body[start:])
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Keeps the test's output clean."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)  # what a cut loses at most
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()


def mine(server, path="train.csv", **options):
    return Dataset("mine", "mine", urls={"train": server.url(path)}, **options)


def fetched(row, root):
    return list(get_dataset(row, root))


def test_a_split_is_fetched_once(server, tmp_path):
    server.files["train.csv"] = BODY
    row = mine(server, train=4000, sha256={"train": SUM})
    path = tmp_path / "mine" / "train.csv"
    assert fetched(row, tmp_path) == [("train", path, True)]
    assert path.read_bytes() == BODY
    assert [entry.name for entry in path.parent.iterdir()] == ["train.csv"]
    assert fetched(row, tmp_path) == [("train", path, False)]
    assert len(server.asked) == 1


def test_a_cut_connection_is_gone_on_from(server, tmp_path):
    server.files["train.csv"], server.cuts = BODY, 2
    fetched(mine(server, sha256={"train": SUM}), tmp_path)
    assert (tmp_path / "mine" / "train.csv").read_bytes() == BODY
    assert server.asked[0] is None
    assert all(wanted and wanted.startswith("bytes=") for wanted in server.asked[1:])


def test_what_an_ended_call_left_is_not_fetched_again(server, tmp_path):
    server.files["train.csv"] = BODY
    part = tmp_path / "mine" / ".fetched" / "train" / "train.csv.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY[:1000])
    fetched(mine(server, sha256={"train": SUM}), tmp_path)
    assert server.asked == ["bytes=1000-"]
    assert (tmp_path / "mine" / "train.csv").read_bytes() == BODY


@pytest.mark.parametrize("left", [BODY, BODY + b"AC,1\n"])
def test_what_leaves_nothing_to_fetch_is_fetched_from_the_start(server, tmp_path, left):
    server.files["train.csv"] = BODY
    part = tmp_path / "mine" / ".fetched" / "train" / "train.csv.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    fetched(mine(server, sha256={"train": SUM}), tmp_path)
    assert server.asked == [f"bytes={len(left)}-", None]
    assert (tmp_path / "mine" / "train.csv").read_bytes() == BODY


def test_records_that_are_not_the_known_ones_are_thrown_away(server, tmp_path):
    server.files["train.csv"] = BODY
    with pytest.raises(InputError, match=r"its records are not the known ones .* it was thrown away, and the split"):
        fetched(mine(server, sha256={"train": "0" * 64}), tmp_path)
    assert not list(tmp_path.rglob("*.csv*"))


def test_a_page_in_place_of_a_table_is_refused(server, tmp_path):
    server.files["train.csv"] = b"<html>\nsign in\n</html>\n"
    with pytest.raises(InputError, match="column"):
        fetched(mine(server), tmp_path)
    assert not list(tmp_path.rglob("*.csv*"))


def test_a_file_that_is_not_there_is_said_so(server, tmp_path):
    with pytest.raises(InputError, match=r"absent.csv: the server answered 404; the file is not there"):
        fetched(mine(server, "absent.csv"), tmp_path)


def test_a_server_that_is_not_there_leaves_a_line_and_no_file(server, tmp_path):
    row = mine(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match="the same command goes on from what has come"):
        fetched(row, tmp_path)
    assert not list((tmp_path / "mine").glob("*.csv"))


def archive(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as held:
        for name, body in members.items():
            held.writestr(name, body)
    return stream.getvalue()


def test_a_member_of_an_archive_is_taken(server, tmp_path):
    server.files["all.zip"] = archive(**{"GUE/x/train.csv": BODY, "GUE/x/dev.csv": b""})
    fetched(mine(server, "all.zip#GUE/x/train.csv", sha256={"train": SUM}), tmp_path)
    assert (tmp_path / "mine" / "train.csv").read_bytes() == BODY


def test_an_archive_whose_members_climb_out_writes_nothing_outside(server, tmp_path):
    server.files["evil.zip"] = archive(**{"../../../climbed.csv": BODY, "/tmp/absolute.csv": BODY})
    root = tmp_path / "deep" / "root"
    fetched(mine(server, "evil.zip#../../../climbed.csv"), root)
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and root / "mine" not in path.parents]
    assert outside == []
    assert (root / "mine" / "train.csv").read_bytes() == BODY


def test_an_archive_without_the_member_says_what_it_has(server, tmp_path):
    server.files["all.zip"] = archive(**{"a.csv": BODY})
    with pytest.raises(InputError, match=r"the archive has no 'b.csv', it has a.csv"):
        fetched(mine(server, "all.zip#b.csv"), tmp_path)


def test_a_damaged_archive_is_removed(server, tmp_path):
    server.files["all.zip"] = archive(**{"a.csv": BODY})[:-30]
    with pytest.raises(InputError, match="no zip archive, or a damaged one; it was removed"):
        fetched(mine(server, "all.zip#a.csv"), tmp_path)


def test_something_that_is_no_table_is_refused_before_it_is_fetched(server, tmp_path):
    with pytest.raises(InputError, match=r"train.tar.gz: expected a table"):
        fetched(mine(server, "train.tar.gz"), tmp_path)
    assert server.asked == []


def test_gue_has_addresses_on_the_hub_at_a_fixed_revision():
    found = addresses(dataset("EMP/H3"))
    assert set(found) == {"train", "dev", "test"}
    assert found["dev"].endswith(
        "/datasets/leannmlindsey/GUE/resolve/2db3b738af3c676c243350ac337b9560ab15b04b/GUE/emp_H3/dev.csv"
    )


def test_what_cannot_be_fetched_says_where_to_put_it():
    with pytest.raises(InputError, match=r"eep/1 cannot be fetched .* into 'eep/1' of the data root"):
        addresses(dataset("eep/1"))
