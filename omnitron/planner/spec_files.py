"""The files that `generate` writes beside the policy for the programs of ours that run a process."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from omnitron import names
from omnitron.policy.codec import Document, marshal


@dataclass(frozen=True)
class RuntimeSpec:
    """A process that a program of ours runs or becomes."""

    document: Document
    """Content of the file that the program reads."""

    @property
    def text(self) -> str:
        """Text of that file."""
        return marshal(self.document, indent=1)

    @property
    def digest(self) -> str:
        """Tells one text from another: part of the file's name, so that a service starts with what it was made for."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


def spec_name(stack_stem: str, app: str, process: str, spec: RuntimeSpec) -> str:
    """Return the name of the file, below the folder of policies."""
    return f"{stack_stem}.hosts/{names.unit_stem(app, process)}-{spec.digest}.json"
