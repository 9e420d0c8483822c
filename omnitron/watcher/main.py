"""The watcher's process: one connection to the bus, one keeper for each installed stack."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnitron.errors import OmnitronError
from omnitron.observe.policies import AppPolicy, StackPolicy, WatchPolicy, read_policies
from omnitron.supervision.notify import send
from omnitron.systemd.manager import Manager
from omnitron.watcher import exposition
from omnitron.watcher.desk import Desk
from omnitron.watcher.exposition import Stacks
from omnitron.watcher.keeper import Keeper
from omnitron.watcher.meter import Meter
from omnitron.watcher.restarter import restart
from omnitron.watcher.scaler import Scaler

if TYPE_CHECKING:
    from omnitron.watcher.files import Files

log = logging.getLogger(__name__)

RECONNECT_S = 0.5
"""Pause before the next try to reach the bus."""
RETRY_S = 1.0
"""How often what was begun is looked at without a signal: a call may have failed."""
REST_S = 0.005
"""Least time between two looks: one crash is about twenty signals."""
PROMETHEUS = "text/plain; version=0.0.4"
SHORTEST_SAMPLE_S = 0.2
"""Least time between two rounds of samples, whatever a definition says."""
COOLDOWN_S = 3.0
"""Least time between two restarts of an app for its files."""
BEAT_S = 10.0
"""How often systemd hears that the watcher lives, less than half of the unit's WatchdogSec=."""


class Watcher:
    """Wakes the keeper of each stack in which something changed. Run as `await Watcher(…).run()`."""

    def __init__(self, folders: Iterable[Path], records: Path, *, is_user: bool) -> None:
        self._folders = list(folders)
        self._records = records
        self._is_user = is_user
        self._keepers: dict[str, Keeper] = {}
        self._meters: dict[str, Meter] = {}
        self._scalers: dict[str, Scaler] = {}
        self._scaling: dict[str, asyncio.Task[None]] = {}
        self._manager: Manager | None = None
        self._files: Files | None = None
        self._watched: dict[tuple[str, str], WatchPolicy] = {}
        self._restarted: dict[tuple[str, str], float] = {}
        self._restarting: set[asyncio.Task[None]] = set()
        self._dirty: set[str] = set()
        self._is_stale = True
        self._woken = asyncio.Event()
        self._loaded = asyncio.Event()
        self._said = ""

    async def run(self) -> None:
        """Keep all stacks until cancelled; a bus that goes away is waited for."""
        answers = {"/metrics": self._prometheus, "/metrics.json": self._aggregated, "/history.json": self._histories}
        await Desk(self._records / "watcher.sock", answers).open()
        metering = asyncio.ensure_future(self._meter())
        try:
            await self._keep()
        finally:
            metering.cancel()

    async def _meter(self) -> None:
        while True:
            for stem, meter in [*self._meters.items()]:
                if meter.due <= time.monotonic():
                    await self._sample(meter)
                    self._scale(stem, meter)
            due = min((meter.due for meter in self._meters.values()), default=math.inf)
            pause = max(SHORTEST_SAMPLE_S, due - time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(pause) else pause):
                    await self._loaded.wait()
            self._loaded.clear()

    async def _sample(self, meter: Meter) -> None:
        try:
            await asyncio.to_thread(meter.sample)
        except Exception:  # one stack's figures must not be the end of all others'
            log.exception("cannot take figures of %s", meter.stack.stem)

    def _scale(self, stem: str, meter: Meter) -> None:
        """Let the scaler of a stack look, beside everything else; one look at a time."""
        keeper, scaler = self._keepers.get(stem), self._scalers.get(stem)
        under_way = self._scaling.get(stem)
        if self._manager is None or keeper is None or scaler is None or keeper.is_busy:
            return
        if under_way is None or under_way.done():
            self._scaling[stem] = asyncio.create_task(self._look_at_load(scaler, self._manager, meter))

    async def _look_at_load(self, scaler: Scaler, manager: Manager, meter: Meter) -> None:
        try:
            await scaler.look(manager, meter)
        except OmnitronError as error:
            log.error("%s", error.brief)
        except Exception:  # the next look may go better
            log.exception("cannot scale %s", scaler.stack.stem)

    async def _figures(self) -> Stacks:
        meters = [*self._meters.values()]
        return [(meter.stack, await asyncio.to_thread(meter.figures)) for meter in meters]

    async def _prometheus(self) -> tuple[str, bytes]:
        return PROMETHEUS, exposition.prometheus(await self._figures()).encode()

    async def _aggregated(self) -> tuple[str, bytes]:
        data = exposition.aggregated(await self._figures(), timestamp=round(time.time() * 1000))
        return "application/json", json.dumps(data).encode()

    async def _histories(self) -> tuple[str, bytes]:
        kept = [(meter.stack, meter.histories()) for meter in self._meters.values()]
        return "application/json", await asyncio.to_thread(lambda: json.dumps(exposition.histories(kept)).encode())

    async def _keep(self) -> None:
        while True:
            try:
                async with Manager(is_user=self._is_user) as manager:
                    await self._serve(manager)
                self._say_once("the bus closed the connection")
            except OmnitronError as error:
                self._say_once(error.brief)
            send("READY=1", "WATCHDOG=1", "STATUS=waiting for the bus")
            await asyncio.sleep(RECONNECT_S)

    def _say_once(self, text: str) -> None:
        if text != self._said:
            log.error("%s; trying again", text)
        self._said = text

    async def _serve(self, manager: Manager) -> None:
        await manager.listen(self._changed, self._reread)
        self._reread()
        closed = asyncio.ensure_future(manager.closed())
        self._manager = manager
        try:
            while not closed.done():
                await self._look(manager)
                await asyncio.sleep(REST_S)
                await self._wait(closed)
        finally:
            self._manager = None
            closed.cancel()
            # What they wait for was said on this connection, or never will be.
            for task in (*self._scaling.values(), *self._restarting):
                task.cancel()

    async def _look(self, manager: Manager) -> None:
        if self._is_stale:
            self._is_stale = False
            await manager.subscribe_again()
            self._load()
            self._dirty = set(self._keepers)
        self._dirty |= {stem for stem, keeper in self._keepers.items() if keeper.is_busy}
        keepers = [self._keepers[stem] for stem in self._dirty if stem in self._keepers]
        self._dirty = set()
        await asyncio.gather(*(keeper.look(manager) for keeper in keepers))
        self._said = ""
        count = len(self._keepers)
        send("READY=1", "WATCHDOG=1", f"STATUS=watching {count} stack{'' if count == 1 else 's'}")

    async def _wait(self, closed: asyncio.Future[None]) -> None:
        busy = any(keeper.is_busy for keeper in self._keepers.values())
        woken: asyncio.Future[Any] = asyncio.ensure_future(self._woken.wait())
        wakers = [woken, closed]
        await asyncio.wait(wakers, timeout=RETRY_S if busy else BEAT_S, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        self._woken.clear()

    def _watch_files(self) -> None:
        """Watch what the policies name; anew when that has changed, for what changes meanwhile is not seen."""
        apps = {
            (stem, app.name): app.watch
            for stem, keeper in self._keepers.items()
            for app in keeper.stack.apps
            if app.watch
        }
        if apps == self._watched:
            return
        self._watched = apps
        if self._files:
            self._files.close()
            self._files = None
        if not apps:
            return
        # Imported here: a host without development stacks does not pay for it.
        from omnitron.watcher.files import Files

        try:
            self._files = Files(self._files_changed)
        except OSError as error:
            log.error("cannot watch files: %s", error.strerror or error)
            return
        # Large trees take a while, in which supervision must go on.
        self._restarting.add(task := asyncio.create_task(asyncio.to_thread(self._files.watch, apps)))
        task.add_done_callback(self._restarting.discard)

    def _files_changed(self, key: tuple[str, str], paths: list[str]) -> None:
        left = self._restarted.get(key, -math.inf) + COOLDOWN_S - time.monotonic()
        if left > 0:
            # An app that writes what it watches must not be all that this host does.
            asyncio.get_running_loop().call_later(left, self._files_changed, key, paths)
            return
        self._restarted[key] = time.monotonic()
        keeper = self._keepers.get(key[0])
        app = next((app for app in keeper.stack.apps if app.name == key[1]), None) if keeper else None
        if keeper and app and self._manager:
            self._restarting.add(task := asyncio.create_task(self._restart(self._manager, keeper.stack, app, paths)))
            task.add_done_callback(self._restarting.discard)

    async def _restart(self, manager: Manager, stack: StackPolicy, app: AppPolicy, paths: list[str]) -> None:
        try:
            await restart(manager, stack, app, paths)
        except OmnitronError as error:
            log.error("%s", error.brief)

    def _changed(self, unit: str) -> None:
        stem = "-".join(unit.rpartition(".")[0].split("-")[:2])
        if stem in self._keepers:
            self._dirty.add(stem)
            self._woken.set()

    def _reread(self) -> None:
        self._is_stale = True
        self._woken.set()

    def _load(self) -> None:
        """Read what is installed; a stack whose policy is as before keeps its keeper."""
        try:
            policies = read_policies(self._folders, lambda error: log.error("%s", error.brief))
        except (OmnitronError, OSError) as error:
            log.error("cannot read what is installed: %s", error)
            return
        self._keepers = {policy.stem: self._keeper(policy) for policy in policies}
        self._meters = {policy.stem: self._meter_of(policy) for policy in policies}
        self._scalers = {policy.stem: self._scaler(policy) for policy in policies}
        self._watch_files()
        self._loaded.set()

    def _keeper(self, policy: StackPolicy) -> Keeper:
        known = self._keepers.get(policy.stem)
        return known if known and known.stack == policy else Keeper(policy, self._records)

    def _scaler(self, policy: StackPolicy) -> Scaler:
        known = self._scalers.get(policy.stem)
        return known if known and known.stack == policy else Scaler(policy, self._records.parent)

    def _meter_of(self, policy: StackPolicy) -> Meter:
        known = self._meters.get(policy.stem)
        fresh = Meter(policy, self._records, is_user=self._is_user)
        return known if known and known.stack == policy else fresh


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
