"""Definitions, facts and plans for tests, in a line or two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from omnitron.definition.app import System
from omnitron.definition.loader import load
from omnitron.definition.project import Ecosystem
from omnitron.errors import DefinitionError
from omnitron.operations.host_facts.gather import with_files
from omnitron.planner.facts import HostFacts, SecretPlaces
from omnitron.planner.plan import Plan
from omnitron.planner.plan import make_plan as plan_of
from omnitron.planner.units.values import Unit

FORMATS = (".yaml", ".toml", ".json", ".py")
HELPERS = Path("/usr/lib/omnitron/supervision/helpers")
PYTHON = Path("/usr/bin/python3")


def facts(version: int = 257, scope: Any = "system", accounts: frozenset[str] | None = None) -> HostFacts:
    return HostFacts(version, scope, HELPERS, PYTHON, accounts, secrets=SecretPlaces(sealed=scope == "user"))


def shop(*apps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A definition of the given apps; one that says nothing of how it runs gets a command."""
    kinds = {"command", "script", "bootstrap", "comand"}
    user = {} if more.pop("nobody", None) else {"user": "www-data"}
    entries = [{**({} if kinds & set(app) else {"command": ["/bin/sleep", "1"]}), **user, **app} for app in apps]
    return {"project": "shop", "apps": entries, **more}


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def dumped(data: Any, suffix: str, kind: str = "ecosystem") -> str:
    """`data` as the text of a definition, one key to a line."""
    if suffix == ".yaml":
        return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    if suffix == ".toml":
        return "\n".join(_toml(data, ())) + "\n"
    text = json.dumps(data, indent=1, ensure_ascii=False)
    if suffix == ".json":
        return text
    return f"from omnitron import define_{kind}\ntrue, false, null = True, False, None\nit = define_{kind}({text})\n"


def _toml(data: dict[str, Any], at: tuple[str, ...]) -> list[str]:
    def is_table(value: Any) -> bool:
        return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))

    lines = [f"{key} = {json.dumps(value)}" for key, value in data.items() if not is_table(value)]
    for key, value in data.items():
        name = ".".join((*at, key))
        if isinstance(value, dict):
            lines += [f"[{name}]", *_toml(value, (*at, key))]
        elif is_table(value):
            for item in value:
                lines += [f"[[{name}]]", *_toml(item, (*at, key))]
    return lines


def write(
    folder: Path, data: Any, suffix: str = ".yaml", stem: str = "omnitron.config", kind: str = "ecosystem"
) -> Path:
    """Write a definition, from data or from its text, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (stem + suffix)
    path.write_text(data if isinstance(data, str) else dumped(data, suffix, kind))
    return path


def bootstrap(folder: Path, *processes: dict[str, Any], **more: Any) -> str:
    """Write the bootstrap of an app and return the path to name it by."""
    system = {"name": "app", "processes": list(processes), **more}
    return str(write(folder, system, stem="bootstrap", kind="system"))


def loaded(folder: Path, data: Any, suffix: str = ".yaml") -> Ecosystem:
    return load(write(folder, data, suffix))


def loaded_system(path: Path) -> System:
    """The system in the bootstrap file at `path`, which is loaded as the only app of a definition."""
    system = loaded(path.parent, shop({"name": "app", "bootstrap": str(path)})).apps[0].system
    assert system is not None
    return system


def problems(path: Path) -> list[str]:
    """What is wrong with the definition at `path`, with names of files relative to its folder."""
    try:
        load(path)
    except DefinitionError as error:
        return [line.replace(f"{path.parent}/", "") for line in error.lines()]
    return []


def make_plan(ecosystem: Ecosystem, on: HostFacts, chosen: list[str] | None = None) -> Plan:
    """The plan for a host with these facts, and with this one's files."""
    return plan_of(ecosystem, with_files(ecosystem, on), chosen)


def planned(folder: Path, data: Any, on: HostFacts | None = None) -> Plan:
    return make_plan(loaded(folder, data), on or facts())


def units(plan: Plan, stack: int = 0) -> dict[str, Unit]:
    return {unit.name: unit for unit in plan.stacks[stack].units}
