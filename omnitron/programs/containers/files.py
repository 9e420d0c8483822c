"""Files that are copied into a container before it starts, so that it needs no mount and no root."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from omnitron.policy.server_specs import FileSpec, FilesSpec
from omnitron.programs.secrets import credentials
from omnitron.secrets import references


def archive(files: FilesSpec | None, *, again: bool = False) -> bytes | None:
    """Return a tar archive of files, for the root of a container; None without any.

    `again` leaves out what a running container has, and what only its start can be told. Raises OSError, MissingError.
    """
    if not files:
        return None
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        folder = files.folder.lstrip("/")
        if not again:
            _add(tar, folder, None, 0o755 if files.owner == 0 else 0o700, files.owner)
        for file in files.each:
            if not again or file.path is not None:
                mode = 0o600 if file.is_private else 0o644
                _add(tar, f"{folder}/{file.name}", _content(file), mode, files.owner)
    return packed.getvalue()


def _content(file: FileSpec) -> bytes:
    if file.text is not None:
        return references.fill(file.text, credentials.read).encode()
    return Path(str(file.path)).read_bytes()


def _add(tar: tarfile.TarFile, name: str, content: bytes | None, mode: int, owner: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.uid, entry.gid = mode, owner, owner
    entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    entry.size = len(content or b"")
    tar.addfile(entry, io.BytesIO(content) if content is not None else None)
