"""Plans of one app that needs services, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omnitron.errors import DefinitionError
from omnitron.infra.resolve import Infra
from omnitron.planner.plan import Plan
from tests.support.build import bootstrap, facts, loaded, make_plan, shop, write


def plan(folder: Path, needs: dict[str, Any], on: Any = None, **more: Any) -> Plan:
    """The plan of one app, `api`, with these needs."""
    write(folder / "config", {"omnitron": needs}, ".json", "default")
    app = {"name": "api", "bootstrap": bootstrap(folder, {"name": "p", "command": ["x"]}), **more.pop("app", {})}
    return make_plan(loaded(folder, shop(app, **more)), on or facts())


def infra(folder: Path, needs: dict[str, Any], on: Any = None, **more: Any) -> Infra:
    return plan(folder, needs, on, **more).stacks[0].infra


def problem(folder: Path, needs: dict[str, Any], on: Any = None, **more: Any) -> str:
    with pytest.raises(DefinitionError) as caught:
        plan(folder, needs, on, **more)
    return "\n".join(caught.value.lines()).replace(f"{folder}/", "")


def stack(**said: Any) -> dict[str, Any]:
    return {"dev": {"type": "local", **said}}
