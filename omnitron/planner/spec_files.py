"""What a program of ours is told of the process that it runs: a file that `generate` writes beside the policy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from omnitron import names


@dataclass(frozen=True)
class Told:
    """A process that a program of ours runs or becomes."""

    spec: str
    """Text of the file that it reads."""

    @property
    def digest(self) -> str:
        """Tells one text from another: part of the file's name, so that a service starts with what it was made for."""
        return hashlib.sha256(self.spec.encode()).hexdigest()[:12]


def spec_name(stack_stem: str, app: str, process: str, told: Told) -> str:
    """Return the name of the file, below the folder of policies."""
    return f"{stack_stem}.hosts/{names.unit_stem(app, process)}-{told.digest}.json"
