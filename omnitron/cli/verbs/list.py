"""`omnitron list`: what is installed."""

from __future__ import annotations

from omnitron.cli import output
from omnitron.cli.arguments import Debug, Json, User
from omnitron.cli.selection import is_user_scope
from omnitron.operations import installed


def list_command(user: User = False, json: Json = False, debug: Debug = False) -> None:
    """List the installed stacks and their apps, in start order, with what each depends on and its units."""
    policies = installed.stacks(is_user=is_user_scope(user))
    apps = [(policy, app) for policy in policies for app in policy.apps]
    if output.wants_json():
        output.data(
            [
                {
                    "name": app.name,
                    "stack": policy.stack,
                    "project": policy.project,
                    "mode": app.mode,
                    "enabled": app.enabled,
                    "critical": app.critical,
                    "dependsOn": list(app.depends_on),
                    "units": list(app.services),
                }
                for policy, app in apps
            ]
        )
        return
    rows = [
        [
            f"{policy.stack}/{app.name}",
            policy.project,
            "yes" if app.enabled else "no",
            "yes" if app.critical else "no",
            ", ".join(app.depends_on) or "-",
            app.target or ", ".join(process.unit for process in app.processes) or "-",
        ]
        for policy, app in apps
    ]
    output.table(("APP", "PROJECT", "ENABLED", "CRITICAL", "DEPENDS ON", "UNIT"), rows)
