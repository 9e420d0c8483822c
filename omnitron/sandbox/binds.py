"""Bind mounts for host directories that an overlay of `/` does not contain.

Pure: the caller reads `/proc/self/mountinfo`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# systemd-nspawn mounts an empty tmpfs on each of these,
_FRESH = (Path("/run"), Path("/tmp"))
# and its own of these.
_KERNEL = (Path("/dev"), Path("/proc"), Path("/sys"))


@dataclass(frozen=True)
class Bind:
    """A host path that a machine shares; `target` None stands for the same path inside."""

    source: Path
    target: Path | None = None
    read_only: bool = False

    def option(self) -> str:
        """Return the option of systemd-nspawn for this bind."""
        verb = "--bind-ro" if self.read_only else "--bind"
        ends = (self.source.absolute(), (self.target or self.source).absolute())
        source, target = (str(end).replace(":", "\\:") for end in ends)
        return f"{verb}={source}:{target}"


def mount_points(mountinfo: str) -> list[Path]:
    """Return the mount points in the text of a `/proc/PID/mountinfo`, in mount order."""
    return [Path(_unescape(line.split(" ")[4])) for line in mountinfo.splitlines()]


def separate_mounts(needed: Iterable[Bind], mounts: Sequence[Path]) -> list[Bind]:
    """Return the binds that make every `needed` path visible inside an overlay of `/`.

    For a path on the root file system only the mounts below it are bound, because the overlay contains the rest.
    A path on another file system, or below a directory that systemd-nspawn replaces, is bound itself. The machine
    has its own `/`, `/run`, `/tmp` and file systems of the kernel; they are never bound as a whole.
    """
    binds: list[Bind] = []
    for bind in needed:
        for path in _absent(bind.source, mounts):
            if not any(path.is_relative_to(other.source) for other in binds):
                binds.append(Bind(path, read_only=bind.read_only))
    return binds


def _absent(path: Path, mounts: Sequence[Path]) -> list[Path]:
    if path in (Path("/"), *_FRESH) or any(path.is_relative_to(top) for top in _KERNEL):
        return []
    holders = [m for m in (*mounts, *_FRESH) if path.is_relative_to(m)]
    if max(holders, key=lambda m: len(m.parts), default=Path("/")) != Path("/"):
        return [path]
    return [m for m in mounts if path in m.parents]


def _unescape(field: str) -> str:
    raw = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), field.encode("utf-8", "surrogateescape"))
    return raw.decode("utf-8", "surrogateescape")
