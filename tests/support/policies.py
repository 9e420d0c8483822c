"""The policy of a planned stack, written and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omnitron.policy.codec import marshal
from omnitron.policy.model import StackPolicy
from omnitron.policy.store import read_policies
from tests.support.build import planned, shop


def policy(folder: Path, *apps: dict[str, Any], **definition: Any) -> StackPolicy:
    """The policy of a stack of `apps`, `definition` the rest of it, written and read back."""
    (folder / "policies").mkdir(parents=True)
    plan = planned(folder, shop(*apps, **definition)).stacks[0]
    (folder / "policies/omnitron-dev.json").write_text(marshal(plan.policy))
    (read,) = read_policies([folder / "policies"])
    return read
