"""Pictures of entities in a folder or an archive: found in a fixed order, read one by one, nothing ever unpacked."""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from torch_geometric_dsom.errors import DataError

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
MAX_PIXELS = 64_000_000
MAX_BYTES = 1 << 26  # 64 MiB in the file


@dataclass(frozen=True)
class Picture:
    """A picture that was found but not read yet.

    Args:
        where (str): Its path, for messages.
        entity (str): Name of the entity that it shows.
        stamp (str): What changes when the file does.
        read (Callable): Gives its bytes; nothing where there are more than 64 MiB or they are damaged.
    """

    where: str
    entity: str
    stamp: str
    read: Callable[[], bytes]


def find_pictures(folder: Path) -> list[Picture]:
    """The pictures ``images/<entity>.*`` and ``images/<entity>/*`` of a folder, or those of its ``images.zip``.

    Args:
        folder (Path): The folder, resolved.

    Returns:
        list[Picture]: In the order of their names. Other files are left out.

    Raises:
        DataError: If there are both, a link or a name leads out of them, or a folder is nested deeper.
    """
    images, archive = folder / "images", folder / "images.zip"
    if images.exists() and archive.exists():
        raise DataError(f"{folder}: expected images or images.zip, found both")
    if archive.is_file():
        return list(_in_archive(inside(archive, folder)))
    return list(_in_folder(inside(images, folder), folder)) if images.is_dir() else []


def read_picture(content: bytes) -> Image.Image | None:
    """A picture as RGBA; :obj:`None` where it is damaged, no JPEG, PNG or WebP, or too large to be meant.

    Args:
        content (bytes): The file.

    Example:
        >>> out = io.BytesIO()
        >>> Image.new("L", (3, 2)).save(out, "PNG")
        >>> read_picture(out.getvalue()).size, read_picture(out.getvalue()[:40])
        ((3, 2), None)
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP")) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    return None
                return picture.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None


def inside(path: Path, folder: Path) -> Path:
    """A path, unless it leads out of a folder.

    Args:
        path (Path): The path.
        folder (Path): The folder, resolved.

    Raises:
        DataError: If it does.
    """
    if not path.resolve().is_relative_to(folder):
        raise DataError(f"{path}: expected a file inside {folder}, got a link out of it")
    return path


def _in_folder(images: Path, folder: Path) -> Iterator[Picture]:
    for path in sorted(images.rglob("*")):
        if path.suffix.lower() in PICTURES and path.is_file():
            stat = inside(path, folder).stat()
            stamp = f"{path.relative_to(folder)}\0{stat.st_size}\0{stat.st_mtime_ns}"
            yield Picture(
                str(path), _entity(PurePosixPath(*path.relative_to(images).parts), str(path)), stamp, _file(path)
            )


def _in_archive(path: Path) -> Iterator[Picture]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(archive.infolist(), key=lambda member: member.filename)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise DataError(f"{path}: expected a zip archive ({error})") from error
    seen: set[str] = set()
    for member in members:
        name, where = PurePosixPath(member.filename), f"{path}/{member.filename}"
        if name.is_absolute() or ".." in name.parts or "\\" in member.filename:
            raise DataError(f"{where}: expected a name inside the archive, got one that leads out of it")
        if member.is_dir() or name.suffix.lower() not in PICTURES or name.parts[0] == "__MACOSX":
            continue
        if member.filename in seen:
            raise DataError(f"{where}: expected one file of that name, got two")
        seen.add(member.filename)
        if member.flag_bits & 1:
            raise DataError(f"{where}: expected a file without a password")
        inner = PurePosixPath(*name.parts[1:]) if name.parts[0] == "images" and len(name.parts) > 1 else name
        yield Picture(where, _entity(inner, where), f"{where}\0{member.CRC}\0{member.file_size}", _member(path, member))


def _entity(inner: PurePosixPath, where: str) -> str:
    if len(inner.parts) > 2:
        raise DataError(f"{where}: expected images/<entity>.* or images/<entity>/*, got a deeper folder")
    return inner.parts[0] if len(inner.parts) == 2 else inner.stem


def _file(path: Path) -> Callable[[], bytes]:
    return lambda: path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""


def _member(path: Path, member: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        if member.file_size > MAX_BYTES:
            return b""
        try:
            with zipfile.ZipFile(path) as archive, archive.open(member) as file:
                content = file.read(MAX_BYTES + 1)  # the declared size may be a lie
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError):
            return b""
        return content if len(content) <= MAX_BYTES else b""

    return read
