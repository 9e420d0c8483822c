"""`omnitron graph`: who depends on whom."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from omnitron.cli import output
from omnitron.cli.arguments import Config, Debug, Json, OptionalStack
from omnitron.cli.options import load_ecosystem
from omnitron.operations.installed import select_stack


class Format(StrEnum):
    """The notation of a graph."""

    MERMAID = "mermaid"
    DOT = "dot"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", "-f", help="Notation.")]


def graph_command(
    stack: OptionalStack = None,
    format: FormatOption = Format.MERMAID,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Print the dependencies between the apps of a stack; an arrow leads to what is needed."""
    ecosystem = load_ecosystem()
    name = select_stack(stack, list(ecosystem.config.stacks))
    apps = ecosystem.apps_of(name)
    edges = [(app.name, needed) for app in apps for needed in app.entry.depends_on]
    critical = [app.name for app in apps if app.entry.critical]
    if output.wants_json() or format is Format.JSON:
        nodes = [{"name": app.name, "critical": app.name in critical} for app in apps]
        output.data({"stack": name, "nodes": nodes, "edges": [{"from": a, "to": b} for a, b in edges]})
    elif format is Format.DOT:
        _print_dot(name, [app.name for app in apps], edges, critical)
    else:
        _print_mermaid([app.name for app in apps], edges, critical)


def _print_dot(stack: str, apps: list[str], edges: list[tuple[str, str]], critical: list[str]) -> None:
    output.line(f'digraph "{stack}" {{')
    for app in apps:
        output.line(f'  "{app}"{" [style=bold]" if app in critical else ""};')
    for source, needed in edges:
        output.line(f'  "{source}" -> "{needed}";')
    output.line("}")


def _print_mermaid(apps: list[str], edges: list[tuple[str, str]], critical: list[str]) -> None:
    # Names may be words of mermaid's own ("end"), so nodes are numbered and the names are labels.
    number = {app: f"n{index}" for index, app in enumerate(apps)}
    output.line("graph TD")
    for app in apps:
        output.line(f'  {number[app]}["{app}"]')
    for source, needed in edges:
        output.line(f"  {number[source]} --> {number[needed]}")
    for app in critical:
        output.line(f"  style {number[app]} stroke-width:3px")
