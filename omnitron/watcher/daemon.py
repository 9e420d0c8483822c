"""The watcher's process: one connection to the bus, one keeper for each installed stack."""

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
from omnitron.watcher.http_server import Desk
from omnitron.watcher.metrics.collector import Metering
from omnitron.watcher.metrics.prometheus_endpoint import Ports
from omnitron.watcher.stack_supervisor import Keeper, Sight
from omnitron.watcher.watch.restarts import Reloader

log = logging.getLogger(__name__)

RECONNECT_S = 0.5
"""Pause before the next try to reach the bus."""
RETRY_S = 1.0
"""How often what was begun is looked at without a signal: a call may have failed."""
REST_S = 0.005
"""Least time between two looks: one crash is about twenty signals."""
ALONE_S = 0.05
"""How much later a stack is looked at in which systemd restarts each process alone: it works for the restart."""
BEAT_S = 10.0
"""How often systemd hears that the watcher lives, less than half of the unit's WatchdogSec=."""
SOONEST_S = 1.0
"""Least time between two such beats that say the same."""


class Watcher:
    """Wakes the keeper of each stack in which something changed. Run as `await Watcher(…).run()`."""

    def __init__(self, folders: Iterable[Path], records: Path, *, is_user: bool) -> None:
        self._folders = list(folders)
        self._records = records
        self._is_user = is_user
        self._keepers: dict[str, Keeper] = {}
        self._reloader = Reloader()
        self._metering = Metering(records, self._is_busy, is_user=is_user)
        self._publisher = Publisher(records, self._metering, is_user=is_user)
        self._ports = Ports(self._metering.prometheus)
        self._dirty: set[str] = set()
        self._units: dict[str, set[str]] = {}
        """What was heard of and not yet told, by stem."""
        self._is_stale = True
        self._woken = asyncio.Event()
        self._said = ""
        self._status = ""
        self._beaten = 0.0

    async def run(self) -> None:
        """Keep all stacks until cancelled; a bus that goes away is waited for."""
        # On it is nothing that `systemctl status` hides.
        await Desk(lambda _: self._metering.answers).open_socket(self._records / "watcher.sock")
        running = (self._metering.run(), self._publisher.run(), self._publisher.serve())
        beside = [asyncio.ensure_future(one) for one in running]
        try:
            await self._keep()
        finally:
            for task in beside:
                task.cancel()
            self._ports.close()
            self._reloader.close()

    async def _keep(self) -> None:
        while True:
            try:
                async with Manager(is_user=self._is_user) as manager:
                    await self._serve(manager)
                self._say_once("the bus closed the connection")
            except OmnitronError as error:
                self._say_once(error.brief)
            self._beat("waiting for the bus")
            await asyncio.sleep(RECONNECT_S)

    def _beat(self, status: str) -> None:
        """Tell systemd that it lives; not at every look, which costs systemd as much as the look does."""
        now = time.monotonic()
        is_due = status != self._status or now >= self._beaten + SOONEST_S
        if is_due and send("READY=1", "WATCHDOG=1", f"STATUS={status}"):
            self._status, self._beaten = status, now

    def _say_once(self, text: str) -> None:
        if text != self._said:
            log.error("%s; trying again", text)
        self._said = text

    async def _serve(self, manager: Manager) -> None:
        await manager.listen(self._changed, self._reread)
        self._reread()
        closed = asyncio.ensure_future(manager.closed())
        self._metering.manager = self._reloader.manager = self._publisher.manager = manager
        try:
            while not closed.done():
                await self._look(manager)
                await asyncio.sleep(REST_S)
                await self._wait(closed)
        finally:
            self._reloader.manager = self._publisher.manager = None
            self._metering.disconnected()
            closed.cancel()

    async def _look(self, manager: Manager) -> None:
        if self._is_stale:
            self._is_stale = False
            await manager.subscribe_again()
            self._load()
            self._dirty = set(self._keepers)
        self._dirty |= {stem for stem, keeper in self._keepers.items() if keeper.is_busy}
        keepers = [self._keepers[stem] for stem in self._dirty if stem in self._keepers]
        self._dirty = set()
        changed, self._units = self._units, {}
        sights = await asyncio.gather(*(self._sight(keeper, manager) for keeper in keepers))
        for sight in filter(None, sights):
            self._publisher.saw(sight, changed.pop(sight.stack.stem, ()))
        # Of those that could not be seen it is still to be told.
        for stem in changed.keys() & self._dirty:
            self._units.setdefault(stem, set()).update(changed[stem])
        if all(sights) and not self._is_stale:
            self._said = ""
        count = len(self._keepers)
        self._beat(f"watching {count} stack{'' if count == 1 else 's'}")

    async def _sight(self, keeper: Keeper, manager: Manager) -> Sight | None:
        """See how one stack is; None when that cannot be read now, and is to be tried again."""
        try:
            return await keeper.look(manager)
        except OSError as error:
            self._dirty.add(keeper.stack.stem)
            self._say_once(f"cannot read the crash records of {keeper.stack.stem}: {error.strerror or error}")
            return None

    async def _wait(self, closed: asyncio.Future[None]) -> None:
        busy = self._dirty or self._is_stale or any(keeper.is_busy for keeper in self._keepers.values())
        woken: asyncio.Future[Any] = asyncio.ensure_future(self._woken.wait())
        wakers = [woken, closed]
        await asyncio.wait(wakers, timeout=RETRY_S if busy else BEAT_S, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        self._woken.clear()
        if self._dirty and not any(self._keepers[stem].keeps_group for stem in self._dirty & self._keepers.keys()):
            await asyncio.sleep(ALONE_S)

    def _is_busy(self, stem: str) -> bool:
        keeper = self._keepers.get(stem)
        return keeper is None or keeper.is_busy

    def _changed(self, unit: str) -> None:
        stem = "-".join(unit.rpartition(".")[0].split("-")[:2])
        if stem in self._keepers:
            self._dirty.add(stem)
            self._units.setdefault(stem, set()).add(unit)
            self._woken.set()

    def _reread(self) -> None:
        self._is_stale = True
        self._woken.set()

    def _load(self) -> None:
        """Read what is installed; a stack whose policy is as before keeps its keeper."""
        try:
            policies = read_policies(self._folders, lambda error: log.error("%s", "; ".join(error.lines())))
        except (OmnitronError, OSError) as error:
            self._is_stale = True
            self._say_once(f"cannot read what is installed: {error}")
            return
        # A stack whose policy is damaged is kept as it was known.
        read = {policy.stem for policy in policies}
        policies += [
            keeper.stack for stem, keeper in self._keepers.items() if stem not in read and keeper.stack.path.exists()
        ]
        try:
            self._keepers = {policy.stem: self._keeper(policy) for policy in policies}
        except OSError as error:
            self._is_stale = True
            self._say_once(f"cannot read what the watcher has in mind: {error.strerror or error}")
            return
        self._metering.load(policies)
        self._publisher.load(policies)
        self._ports.load(policies)
        self._reloader.watch(policies)

    def _keeper(self, policy: InstalledPolicy) -> Keeper:
        known = self._keepers.get(policy.stem)
        return known if known and known.stack == policy else Keeper(policy, self._records)


def main(arguments: list[str]) -> int:
    """Run until SIGTERM: `[--user] RECORDS POLICIES…`, the folder of crash records, and those of compiled policies."""
    is_user = arguments[:1] == ["--user"]
    folders = [Path(argument) for argument in arguments[is_user:]]
    if len(folders) < 2 or not all(folder.is_absolute() for folder in folders):
        sys.stderr.write("usage: python -m omnitron.watcher [--user] RECORDS POLICIES...\n")
        return 2
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    logging.root.handlers[0].setFormatter(_Marked("%(message)s"))
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_until_told(Watcher(folders[1:], folders[0], is_user=is_user)))
    return 0


async def _until_told(watcher: Watcher) -> None:
    task = asyncio.ensure_future(watcher.run())
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, task.cancel)
    await task


class _Marked(logging.Formatter):
    """Puts the mark before each line that the journal takes its priority from."""

    PRIORITIES = {logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6}

    def format(self, record: logging.LogRecord) -> str:
        return f"<{self.PRIORITIES.get(record.levelno, 7)}>{super().format(record)}"
