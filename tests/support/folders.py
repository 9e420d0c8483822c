"""Temporary folders that other users can reach."""

from __future__ import annotations

from pathlib import Path


def open_up(folder: Path) -> None:
    """Let other users reach a temporary folder."""
    for each in (folder, *folder.parents):
        if each.stat().st_mode & 0o077 == 0:
            each.chmod(0o711)
