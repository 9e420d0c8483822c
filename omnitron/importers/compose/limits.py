"""The instances, limits and restart policy of a compose service."""

from __future__ import annotations

import re

from omnitron.definition.process import LEAST_TASKS
from omnitron.importers.compose import unsupported
from omnitron.importers.document import Entry
from omnitron.importers.quantities import cpu_quota, go_duration, size, span
from omnitron.importers.report import Section

MAX_INSTANCES = 1000
MAX_RESTARTS = 1_000_000
DEFAULT_CPU_PERIOD = 100_000
DEFAULT_SHARES = 1024
DEFAULT_WEIGHT = 100
MAX_WEIGHT = 10_000
FOREVER = "Compose restarts it without a limit; without maxRestarts, omnitron stops after 5 crashes within a minute."
NEVER = "Compose does not restart a service without `restart`; this setting makes omnitron do the same."
ON_FAILURE = re.compile(r"on-failure(?::(\d{1,9}))?")


def give(entry: Entry, section: Section) -> None:
    """Set the instances, limits and restart policy of an app."""
    deploy = section.section("deploy") or Section(section.report, section.path("deploy"), {}, section.root)
    _instances(entry, section, deploy)
    _limits(entry, section, deploy)
    if policy := deploy.section("restart_policy"):
        _swarm_policy(entry, policy)
        if section.data.get("restart") is not None:
            section.left(entry, "restart", "deploy.restart_policy overrides it", "restartPolicy")
    else:
        _restart(entry, section)
    deploy.leave_rest(entry, unsupported.LEFT["deploy"])


def _instances(entry: Entry, section: Section, deploy: Section) -> None:
    scaled, replicas = section.whole("scale"), deploy.whole("replicas")
    where, key, count = (section, "scale", scaled) if scaled is not None else (deploy, "replicas", replicas)
    if count is None or count == 1:
        return
    if count < 0:
        where.wrong(key, f"cannot be {count}: it must be 0 or more")
    elif count > MAX_INSTANCES:
        where.left(entry, key, f"an app has at most {MAX_INSTANCES} instances")
    elif count == 0:
        entry["enabled"] = False
    else:
        entry["instances"] = count


def _limits(entry: Entry, section: Section, deploy: Section) -> None:
    resources = deploy.section("resources")
    inner = resources.section("limits") if resources else None
    limits = Entry()
    memory = (inner and inner.parsed("memory", size)) or section.parsed("mem_limit", size)
    if memory and str(memory) != "0":
        limits["memoryMax"] = memory
    if quota := cpu_quota((inner and inner.number("cpus")) or section.number("cpus") or _quota(section)):
        limits["cpuQuota"] = quota
    if shares := section.number("cpu_shares"):
        limits["cpuWeight"] = min(max(1, round(shares * DEFAULT_WEIGHT / DEFAULT_SHARES)), MAX_WEIGHT)
    tasks = (inner and inner.whole("pids")) or section.whole("pids_limit") or 0
    if tasks > 0:
        limits["tasksMax"] = max(tasks, LEAST_TASKS)
    if limits:
        entry["limits"] = limits
    for part in filter(None, (inner, resources)):
        part.leave_rest(entry, "only limits of memory, CPU time and tasks are supported")


def _quota(section: Section) -> float:
    quota, period = section.number("cpu_quota"), section.number("cpu_period")
    return (quota or 0) / (period or DEFAULT_CPU_PERIOD)


def _restart(entry: Entry, section: Section) -> None:
    restart = section.text("restart") or "no"
    match = ON_FAILURE.fullmatch(restart)
    if restart == "no":
        entry["restartPolicy"] = Entry(enabled=False)
        if section.data.get("restart") is None:
            entry.comment(NEVER, "restartPolicy")
    elif restart in ("always", "unless-stopped"):
        entry["restartPolicy"] = Entry(restart="always", maxRestarts=MAX_RESTARTS)
        entry.comment(FOREVER, "restartPolicy")
    elif match:
        _on_failure(entry, section, int(match[1] or 0))
    else:
        section.wrong("restart", f"cannot be {restart[:60]!r}: it must be no, always, on-failure[:N] or unless-stopped")


def _on_failure(entry: Entry, section: Section, times: int) -> None:
    entry["restartPolicy"] = Entry(restart="on-failure", maxRestarts=min(times, MAX_RESTARTS) or MAX_RESTARTS)
    if times:
        message = f"{times} restarts are counted within a minute (`window`), not from the beginning"
        section.changed(entry, "restart", message, "restartPolicy")
    else:
        entry.comment(FOREVER, "restartPolicy")


def _swarm_policy(entry: Entry, policy: Section) -> None:
    condition = policy.text("condition") or "any"
    attempts = policy.whole("max_attempts")
    delay = policy.parsed("delay", go_duration)
    if condition not in ("none", "on-failure", "any"):
        policy.wrong("condition", f"cannot be {condition[:60]!r}: it must be none, on-failure or any")
    if condition == "none":
        entry["restartPolicy"] = Entry(enabled=False)
        return
    restarts = MAX_RESTARTS if attempts is None else min(max(attempts, 0), MAX_RESTARTS)
    entry["restartPolicy"] = Entry(restart="always" if condition == "any" else "on-failure", maxRestarts=restarts)
    if delay is not None:
        entry["restartPolicy"]["delay"] = span(delay)
    if attempts is None:
        entry.comment(FOREVER, "restartPolicy")
    policy.leave_rest(entry, "every restart within restartPolicy.window counts, a successful one too", "restartPolicy")
