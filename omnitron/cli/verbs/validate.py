"""`omnitron validate`: read the definition and say what is wrong with it."""

from __future__ import annotations

from omnitron.cli import output
from omnitron.cli.arguments import Config, Debug, Json, User
from omnitron.cli.options import make_plan, make_scope
from omnitron.operations.planning import version_or_oldest


def validate_command(user: User = False, config: Config = None, json: Json = False, debug: Debug = False) -> None:
    """Check the definition and everything that it refers to; write nothing.

    Every problem is named at once, with its file and line. Exit status 3 when there is one.
    """
    plan = make_plan(make_scope(user=user), version_or_oldest())
    ecosystem, warnings = plan.ecosystem, list(plan.warnings)
    if output.wants_json():
        apps = [app.name for app in ecosystem.apps]
        output.data({"valid": True, "source": str(ecosystem.path), "apps": apps, "warnings": warnings})
        return
    for text in warnings:
        output.warn(text)
    stacks = ", ".join(ecosystem.config.stacks)
    output.line(f"{ecosystem.path}: valid ({output.count(len(ecosystem.apps), 'app')}; stacks: {stacks})")
