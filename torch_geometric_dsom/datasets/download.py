"""Files from the network: over https alone, with a sum, a size and a whole file or none."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from torch_geometric_dsom.errors import DataError

CHUNK = 1 << 16
TIMEOUT = 30.0


@dataclass(frozen=True)
class RemoteFile:
    """A file whose content is known beforehand.

    Args:
        url (str): Where it is, ``https://``.
        sha256 (str): Its sum, 64 hexadecimal digits.
        size (int): Its length in bytes; nothing beyond it is read.
    """

    url: str
    sha256: str
    size: int


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https alone."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        _check_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(file: RemoteFile, path: str | os.PathLike[str]) -> Path:
    """Downloads a file, unless it is there with the right content already.

    Certificates are verified, redirects must stay on https, no more bytes are read than expected, and the file appears
    under its name only when its sum is right.

    Args:
        file (RemoteFile): What to fetch.
        path (str or Path): Where to put it.

    Returns:
        Path: The file.

    Raises:
        DataError: If it cannot be had, or is another one than expected.
    """
    path = Path(path)
    if path.is_file() and sha256_of(path) == file.sha256:
        return path
    _check_https(file.url)
    opener = urllib.request.build_opener(_HttpsOnly)
    request = urllib.request.Request(file.url, headers={"User-Agent": "torch_geometric_dsom"})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with opener.open(request, timeout=TIMEOUT) as answer, part.open("xb") as out:
            came = _copy(answer, out, file)
        if came != file.sha256:
            raise DataError(f"{file.url}: expected the sha256 {file.sha256}, got {came}; the file has changed")
        part.replace(path)
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise DataError(f"{file.url}: could not be downloaded ({error})") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The sha256 of a file, in hexadecimal digits.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a").write_bytes(b"abc")
        ...     sha256_of(Path(folder, "a"))[:8]
        'ba7816bf'
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file: IO[bytes]) -> str:
    total = hashlib.sha256()
    while chunk := file.read(CHUNK):
        total.update(chunk)
    return total.hexdigest()


def _copy(answer: IO[bytes], out: IO[bytes], file: RemoteFile) -> str:
    total, length = hashlib.sha256(), 0
    while chunk := answer.read(CHUNK):
        length += len(chunk)
        if length > file.size:
            raise DataError(f"{file.url}: expected {file.size} bytes, got more; stopped reading")
        total.update(chunk)
        out.write(chunk)
    if length < file.size:
        raise DataError(f"{file.url}: expected {file.size} bytes, got {length}")
    out.flush()
    os.fsync(out.fileno())
    return total.hexdigest()


def _check_https(url: str) -> None:
    if urlsplit(url).scheme != "https":
        raise DataError(f"{url}: expected an https address")
