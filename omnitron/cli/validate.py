"""`omnitron validate`: read the definition and say what is wrong with it."""

from __future__ import annotations

from omnitron.cli import output
from omnitron.cli.arguments import Config, Debug, Json
from omnitron.cli.context import load_ecosystem


def validate_command(config: Config = None, json: Json = False, debug: Debug = False) -> None:
    """Check the definition and everything that it refers to; write nothing.

    Every problem is named at once, with its file and line. Exit status 3 when there is one.
    """
    from omnitron.definition.later import without_effect

    ecosystem = load_ecosystem()
    warnings = [str(problem) for problem in without_effect(ecosystem)]
    if output.wants_json():
        apps = [app.name for app in ecosystem.apps]
        output.data({"valid": True, "source": str(ecosystem.path), "apps": apps, "warnings": warnings})
        return
    for text in warnings:
        output.warn(text)
    stacks = ", ".join(ecosystem.config.stacks)
    output.line(f"{ecosystem.path}: valid ({len(ecosystem.apps)} apps; stacks: {stacks})")
