"""The restarts and the stop of a pm2 app."""

from __future__ import annotations

import re

from omnitron.definition.fields import MAX_DURATION_MS
from omnitron.importers import fields
from omnitron.importers.document import Entry
from omnitron.importers.quantities import span, within
from omnitron.importers.report import Section

UNSTABLE_MS = 1000
"""pm2's default of `min_uptime`."""
UNSTABLE_RESTARTS = 16
"""pm2's default of `max_restarts`."""
MAX_RESTARTS = 1_000_000
MAX_EXIT_CODE = 255
LONGEST_BACKOFF_MS = 15_000
BACKOFF_FACTOR = 1.5
OWN_LONGEST_BACKOFF_MS = 30_000
"""The longest delay of omnitron's own back-off, for an app without delays."""
UPTIME = re.compile(r"(\d{1,12})(ms|h|m|s)?")
UPTIME_UNITS = {None: 1, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def give(entry: Entry, section: Section) -> None:
    """Set the restart policy of an app."""
    codes = _codes(section, entry)
    policy = Entry(restart="on-failure" if 0 in codes else "always")
    longest = _delay(policy, section)
    _budget(policy, entry, section, longest)
    if others := " ".join(str(code) for code in codes if code):
        fields.set_directive(entry, "RestartPreventExitStatus", others)
        fields.set_directive(entry, "SuccessExitStatus", others)
    if section.flag("autorestart") is False:
        policy = Entry(enabled=False)
    elif not codes:
        entry.comment("pm2 starts an app again after a clean exit too.", "restartPolicy")
    entry["restartPolicy"] = policy


def _codes(section: Section, entry: Entry) -> list[int]:
    texts = section.texts("stop_exit_codes")
    codes = [int(text) for text in texts if re.fullmatch(r"[0-9]{1,3}", text)]
    if len(codes) < len(texts) or any(code > MAX_EXIT_CODE for code in codes):
        section.left(entry, "stop_exit_codes", f"a code is a number from 0 to {MAX_EXIT_CODE}")
        return []
    return codes


def milliseconds(section: Section, key: str) -> int | None:
    """Return a number of milliseconds."""
    number = section.number(key)
    if number is None:
        return None
    try:
        return within(number)
    except ValueError as error:
        section.wrong(key, f"cannot use this value: it {error}")
        return None


def _delay(policy: Entry, section: Section) -> int:
    """Set the delay, and return the longest possible delay."""
    fixed, growing = milliseconds(section, "restart_delay"), milliseconds(section, "exp_backoff_restart_delay")
    if growing:
        longest = max(growing, LONGEST_BACKOFF_MS)
        backoff = Entry(type="exponential", initial=span(growing), max=span(longest), factor=BACKOFF_FACTOR)
        policy["backoff"] = backoff
        return longest
    if fixed:
        policy["delay"] = span(fixed)
        return fixed
    return OWN_LONGEST_BACKOFF_MS


def _budget(policy: Entry, entry: Entry, section: Section, longest_delay: int) -> None:
    """Set the budget: pm2 counts restarts after less than `min_uptime`, omnitron all restarts in a window."""
    times, uptime = section.whole("max_restarts"), section.parsed("min_uptime", _uptime)
    if times is None and uptime is None:
        return
    times = UNSTABLE_RESTARTS if times is None else min(max(times, 0), MAX_RESTARTS)
    window = (times + 1) * ((UNSTABLE_MS if uptime is None else uptime) + longest_delay)
    policy["maxRestarts"] = times
    policy["window"] = span(min(window, MAX_DURATION_MS))
    message = "the window is long enough for that many restarts, each after less than min_uptime, with their delays"
    key = "max_restarts" if section.data.get("max_restarts") is not None else "min_uptime"
    section.changed(entry, key, message, "restartPolicy")


def _uptime(text: str) -> int:
    match = UPTIME.fullmatch(text)
    if not match:
        raise ValueError(f"must be a number of milliseconds, or one with h, m or s, not {text[:60]!r}")
    return within(int(match[1]) * UPTIME_UNITS[match[2]])


def give_stop(entry: Entry, section: Section) -> None:
    """Set the stop of an app to that of pm2."""
    timeout = milliseconds(section, "kill_timeout")
    if timeout is not None:
        entry["shutdown"] = Entry(timeout=span(timeout))
    fields.set_directive(entry, "KillSignal", "SIGINT")
    if section.flag("treekill") is not False:
        fields.set_directive(entry, "KillMode", "control-group")
    entry.comment("pm2 stops an app with SIGINT, which goes to all of its processes.", "systemd")
