"""Files that are copied into a container before it starts, so that it needs no mount and no root."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

from omnitron.programs.secrets import credentials
from omnitron.secrets import references


def archive(told: dict[str, Any] | None, *, again: bool = False) -> bytes | None:
    """Return a tar archive, for the root of a container, of the files that are `told`; None without any.

    `again` leaves out what a running container has, and what only its start can be told. Raises OSError, MissingError.
    """
    if not told:
        return None
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        folder = told["folder"].lstrip("/")
        if not again:
            _add(tar, folder, None, 0o755 if told["owner"] == 0 else 0o700, told["owner"])
        for one in told["each"]:
            if not again or "path" in one:
                mode = 0o600 if one["isPrivate"] else 0o644
                _add(tar, f"{folder}/{one['name']}", _content(one), mode, told["owner"])
    return packed.getvalue()


def _content(one: dict[str, Any]) -> bytes:
    if "text" in one:
        return references.fill(one["text"], credentials.read).encode()
    return Path(str(one["path"])).read_bytes()


def _add(tar: tarfile.TarFile, name: str, content: bytes | None, mode: int, owner: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.uid, entry.gid = mode, owner, owner
    entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    entry.size = len(content or b"")
    tar.addfile(entry, io.BytesIO(content) if content is not None else None)
