"""The unit of the watcher: one for each manager, whatever projects there are."""

from __future__ import annotations

from omnitron.names import WATCHER
from omnitron.planner.facts import HostFacts
from omnitron.planner.units.values import Command, Own, Unit, Value

FOLDERS = ("%t/omnitron", "%E/omnitron", "%t/omnitron/.policy")
"""Crash records; compiled policies that last, and those that are gone at reboot."""


def watcher(facts: HostFacts) -> Unit:
    """Return the unit. What it may do is what its manager lets it do on the bus; on the host it can write records."""
    user = ("--user",) if facts.is_user else ()
    argv = (str(facts.host_python), "-P", "-m", "omnitron.watcher", *user, *map(Own, FOLDERS))
    values: dict[str, Value] = {
        "description": "omnitron watcher: supervision over several units",
        "slice": "omnitron.slice",
        "exec_start": Command(argv),
    }
    # A user's manager refuses some of these, and cannot do the others without namespaces of the user's.
    return Unit(WATCHER, "watcher", values if facts.is_user else values | _SANDBOX)


_SANDBOX: dict[str, Value] = {
    # Who may ask it over the bus is a group, which has to be there before the bus reads that.
    "make_group": "-+systemd-sysusers omnitron.conf",
    # The sockets of process hosts, which tell how many calls are pending, are for their users alone.
    "capability_bounding_set": "CAP_DAC_OVERRIDE",
    "protect_system": "strict",
    # The interpreter may lie in a home.
    "protect_home": "read-only",
    **dict.fromkeys(
        (
            "private_tmp",
            "private_devices",
            "protect_kernel_tunables",
            "protect_kernel_modules",
            "protect_kernel_logs",
            "protect_control_groups",
            "protect_clock",
            "protect_hostname",
            "restrict_namespaces",
        ),
        True,
    ),
}
