"""The process of the watcher: one connection to the bus, one supervisor for each installed stack."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from omnitron.errors import OmnitronError
from omnitron.policy.model import InstalledPolicy
from omnitron.policy.store import read_policies
from omnitron.supervision.notify import send
from omnitron.systemd.manager import Manager
from omnitron.watcher.bus_publisher import Publisher
from omnitron.watcher.http_server import HttpServer
from omnitron.watcher.metrics.collector import Collector
from omnitron.watcher.metrics.prometheus_endpoint import PrometheusEndpoints
from omnitron.watcher.stack_supervisor import StackSnapshot, StackSupervisor
from omnitron.watcher.watch.restarts import Reloader

log = logging.getLogger(__name__)

RECONNECT_S = 0.5
"""Pause before the next try to reach the bus."""
RETRY_S = 1.0
"""Interval of looks at unfinished work without a signal: a call may have failed."""
REST_S = 0.005
"""Shortest time between two looks: one crash causes about twenty signals."""
ALONE_S = 0.05
"""Delay of the look at stacks without a group strategy, so that it does not compete with the restart by systemd."""
NOTIFY_S = 10.0
"""Interval of watchdog messages to systemd, less than half of WatchdogSec= of the unit."""
SHORTEST_NOTIFY_S = 1.0
"""Shortest time between two messages with the same status."""


class Watcher:
    """Wakes the supervisor of each stack in which something changed. Run as `await Watcher(…).run()`."""

    def __init__(self, folders: Iterable[Path], records: Path, *, is_user: bool) -> None:
        self._folders = list(folders)
        self._records = records
        self._is_user = is_user
        self._supervisors: dict[str, StackSupervisor] = {}
        self._reloader = Reloader()
        self._collector = Collector(records, self._is_busy, is_user=is_user)
        self._publisher = Publisher(records, self._collector, is_user=is_user)
        self._endpoints = PrometheusEndpoints(self._collector.prometheus)
        self._dirty: set[str] = set()
        self._changed_units: dict[str, set[str]] = {}
        """Units with signals that are not published yet, by stem."""
        self._must_reload = True
        self._wakeup = asyncio.Event()
        self._last_message = ""
        self._notified_status = ""
        self._notified_at = 0.0

    async def run(self) -> None:
        """Supervise all stacks until cancelled; if the bus goes away, wait for it."""
        # Open for all users: it has no information that `systemctl status` does not show too.
        await HttpServer(lambda _: self._collector.answers).open_socket(self._records / "watcher.sock")
        running = (self._collector.run(), self._publisher.run(), self._publisher.serve())
        tasks = [asyncio.ensure_future(service) for service in running]
        try:
            await self._supervise()
        finally:
            for task in tasks:
                task.cancel()
            self._endpoints.close()
            self._reloader.close()

    async def _supervise(self) -> None:
        while True:
            try:
                async with Manager(is_user=self._is_user) as manager:
                    await self._serve(manager)
                self._log_once("the bus closed the connection")
            except OmnitronError as error:
                self._log_once(error.brief)
            self._notify("waiting for the bus")
            await asyncio.sleep(RECONNECT_S)

    def _notify(self, status: str) -> None:
        """Send status and watchdog message to systemd; not at every look, because systemd needs as long for it."""
        now = time.monotonic()
        is_due = status != self._notified_status or now >= self._notified_at + SHORTEST_NOTIFY_S
        if is_due and send("READY=1", "WATCHDOG=1", f"STATUS={status}"):
            self._notified_status, self._notified_at = status, now

    def _log_once(self, text: str) -> None:
        if text != self._last_message:
            log.error("%s; trying again", text)
        self._last_message = text

    async def _serve(self, manager: Manager) -> None:
        await manager.listen(self._changed, self._reread)
        self._reread()
        closed = asyncio.ensure_future(manager.closed())
        self._collector.manager = self._reloader.manager = self._publisher.manager = manager
        try:
            while not closed.done():
                await self._look(manager)
                await asyncio.sleep(REST_S)
                await self._wait(closed)
        finally:
            self._reloader.manager = self._publisher.manager = None
            self._collector.disconnected()
            closed.cancel()

    async def _look(self, manager: Manager) -> None:
        if self._must_reload:
            self._must_reload = False
            await manager.subscribe_again()
            self._load()
            self._dirty = set(self._supervisors)
        self._dirty |= {stem for stem, supervisor in self._supervisors.items() if supervisor.is_busy}
        supervisors = [self._supervisors[stem] for stem in self._dirty if stem in self._supervisors]
        self._dirty = set()
        changed, self._changed_units = self._changed_units, {}
        snapshots = await asyncio.gather(*(self._snapshot(supervisor, manager) for supervisor in supervisors))
        for snapshot in filter(None, snapshots):
            self._publisher.update(snapshot, changed.pop(snapshot.stack.stem, ()))
        # Stacks without a snapshot keep their changed units for the next look.
        for stem in changed.keys() & self._dirty:
            self._changed_units.setdefault(stem, set()).update(changed[stem])
        if all(snapshots) and not self._must_reload:
            self._last_message = ""
        count = len(self._supervisors)
        self._notify(f"watching {count} stack{'' if count == 1 else 's'}")

    async def _snapshot(self, supervisor: StackSupervisor, manager: Manager) -> StackSnapshot | None:
        """Look at one stack; None if its state cannot be read now; then it is tried again."""
        try:
            return await supervisor.look(manager)
        except OSError as error:
            self._dirty.add(supervisor.stack.stem)
            self._log_once(f"cannot read the crash records of {supervisor.stack.stem}: {error.strerror or error}")
            return None

    async def _wait(self, closed: asyncio.Future[None]) -> None:
        busy = self._dirty or self._must_reload or any(supervisor.is_busy for supervisor in self._supervisors.values())
        woken: asyncio.Future[Any] = asyncio.ensure_future(self._wakeup.wait())
        wakers = [woken, closed]
        await asyncio.wait(wakers, timeout=RETRY_S if busy else NOTIFY_S, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        self._wakeup.clear()
        if self._dirty and not any(
            self._supervisors[stem].has_group_strategy for stem in self._dirty & self._supervisors.keys()
        ):
            await asyncio.sleep(ALONE_S)

    def _is_busy(self, stem: str) -> bool:
        supervisor = self._supervisors.get(stem)
        return supervisor is None or supervisor.is_busy

    def _changed(self, unit: str) -> None:
        stem = "-".join(unit.rpartition(".")[0].split("-")[:2])
        if stem in self._supervisors:
            self._dirty.add(stem)
            self._changed_units.setdefault(stem, set()).add(unit)
            self._wakeup.set()

    def _reread(self) -> None:
        self._must_reload = True
        self._wakeup.set()

    def _load(self) -> None:
        """Load the installed policies; a stack with an unchanged policy keeps its supervisor."""
        try:
            policies = read_policies(self._folders, lambda error: log.error("%s", "; ".join(error.lines())))
        except (OmnitronError, OSError) as error:
            self._must_reload = True
            self._log_once(f"cannot read the installed policies: {error}")
            return
        # A stack with a damaged policy keeps the last valid policy.
        read = {policy.stem for policy in policies}
        policies += [
            supervisor.stack
            for stem, supervisor in self._supervisors.items()
            if stem not in read and supervisor.stack.path.exists()
        ]
        try:
            self._supervisors = {policy.stem: self._supervisor(policy) for policy in policies}
        except OSError as error:
            self._must_reload = True
            self._log_once(f"cannot read the stored state of a stack: {error.strerror or error}")
            return
        self._collector.load(policies)
        self._publisher.load(policies)
        self._endpoints.load(policies)
        self._reloader.watch(policies)

    def _supervisor(self, policy: InstalledPolicy) -> StackSupervisor:
        supervisor = self._supervisors.get(policy.stem)
        if supervisor and supervisor.stack == policy:
            return supervisor
        return StackSupervisor(policy, self._records)


def main(arguments: list[str]) -> int:
    """Run until SIGTERM: `[--user] RECORDS POLICIES…`, the folder of crash records, and those of compiled policies."""
    is_user = arguments[:1] == ["--user"]
    folders = [Path(argument) for argument in arguments[is_user:]]
    if len(folders) < 2 or not all(folder.is_absolute() for folder in folders):
        sys.stderr.write("usage: python -m omnitron.watcher [--user] RECORDS POLICIES...\n")
        return 2
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    logging.root.handlers[0].setFormatter(_PriorityFormatter("%(message)s"))
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_run_until_signal(Watcher(folders[1:], folders[0], is_user=is_user)))
    return 0


async def _run_until_signal(watcher: Watcher) -> None:
    task = asyncio.ensure_future(watcher.run())
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, task.cancel)
    await task


class _PriorityFormatter(logging.Formatter):
    """Puts a prefix before each line that sets its priority in the journal."""

    PRIORITIES = {logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6}

    def format(self, record: logging.LogRecord) -> str:
        return f"<{self.PRIORITIES.get(record.levelno, 7)}>{super().format(record)}"
