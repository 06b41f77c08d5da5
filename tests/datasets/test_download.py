import hashlib
import io
import urllib.error
import urllib.request

import pytest

from torch_geometric_dsom.datasets import RemoteFile, fetch
from torch_geometric_dsom.datasets.download import _digest, _HttpsOnly, sha256_of
from torch_geometric_dsom.errors import DataError

CONTENT = b"0\t0\t1\n" * 30_000
FILE = RemoteFile("https://example.org/train.txt", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def network(monkeypatch):
    """A network that answers with given bytes, or fails; tells what was asked for."""
    asked = []

    def serve(content):
        def answer(self, request, timeout=None):
            asked.append(request.full_url)
            assert timeout is not None
            if isinstance(content, Exception):
                raise content
            return io.BytesIO(content)

        monkeypatch.setattr(urllib.request.OpenerDirector, "open", answer)
        return asked

    return serve


def test_a_file_is_fetched_once(network, tmp_path):
    asked = network(CONTENT)
    path = fetch(FILE, tmp_path / "raw" / "train.source")
    assert path.read_bytes() == CONTENT
    assert fetch(FILE, path) == path
    assert asked == [FILE.url]
    path.write_bytes(b"damaged")
    assert fetch(FILE, path).read_bytes() == CONTENT
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:-1], "expected 180000 bytes, got 179999"),
        (CONTENT + b"x", "expected 180000 bytes, got more"),
        (b"9" + CONTENT[1:], "expected the sha256 .* the file has changed"),
        (urllib.error.URLError("no route to host"), "could not be downloaded .*no route to host"),
        (TimeoutError("timed out"), "could not be downloaded"),
    ],
)
def test_anything_else_is_refused_and_nothing_is_left(network, tmp_path, content, message):
    network(content)
    with pytest.raises(DataError, match=message):
        fetch(FILE, tmp_path / "train.source")
    assert list(tmp_path.iterdir()) == []


def test_no_more_than_expected_is_read(network, tmp_path):
    class Endless(io.RawIOBase):
        count = 0

        def read(self, size=-1):
            self.count += size
            return b"0" * size

    endless = Endless()
    monkeypatched = network(b"")
    assert monkeypatched == []
    urllib.request.OpenerDirector.open = lambda self, request, timeout=None: endless  # undone by the fixture
    with pytest.raises(DataError, match="got more"):
        fetch(FILE, tmp_path / "train.source")
    assert endless.count < 2 * len(CONTENT)


def test_only_https_is_asked_and_followed(tmp_path):
    for url in ("http://example.org/a", "file:///etc/passwd", "ftp://example.org/a"):
        with pytest.raises(DataError, match="expected an https address"):
            fetch(RemoteFile(url, FILE.sha256, 1), tmp_path / "a")
    request = urllib.request.Request("https://example.org/a")
    with pytest.raises(DataError, match="http://evil.example"):
        _HttpsOnly().redirect_request(request, None, 302, "Found", {}, "http://evil.example/a")
    followed = _HttpsOnly().redirect_request(request, None, 302, "Found", {}, "https://example.com/a")
    assert followed.full_url == "https://example.com/a"


def test_both_ways_to_a_sum_agree(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    assert sha256_of(tmp_path / "a") == _digest(io.BytesIO(CONTENT)) == FILE.sha256
