"""Files that systemd reads for a process, which need not be able to read them itself."""

from __future__ import annotations

from pathlib import Path


def can_be_loaded(path: Path) -> bool:
    """Return whether `LoadCredential=` works for the file.

    systemd 257 hands its executor the path unescaped, and with a space in it the service fails to start, with
    "Failed to deserialize: Invalid argument". The process then has to read such a file itself.
    """
    return " " not in str(path)
