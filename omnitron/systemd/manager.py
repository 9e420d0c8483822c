"""The systemd manager on the bus: units, jobs and their ends. Everything is asked for with few calls in flight.

Subscribe, then act: the match for the end of jobs stands before the first job is queued, so no end
can be missed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from dbus_fast import Message, MessageType

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.systemd import local
from omnitron.systemd.bus import BUS, closed, connect
from omnitron.systemd.units import UnitState

NAME = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = f"{NAME}.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"

MAX_IN_FLIGHT = 32
"""More calls than a socket's buffer takes would cost the connection."""

UNITS = f"{PATH}/unit"

ALREADY_SUBSCRIBED = f"{NAME}.AlreadySubscribed"
NO_SUCH_UNIT = f"{NAME}.NoSuchUnit"
REFUSED = (
    "org.freedesktop.DBus.Error.AccessDenied",
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
)


def _ignore(*_: str) -> None:
    """Hear nothing."""


@lru_cache(maxsize=4096)  # one crash in a group is two hundred signals
def _unescape(label: str) -> str:
    """Return the unit name that a part of an object path stands for: `a_2eservice` is `a.service`."""
    return re.sub("_([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), label)


def _object_path(unit: str) -> str:
    """Return the object path of a unit: other than letters and digits are escaped, and a digit in front."""
    escaped = re.sub(rb"^[0-9]|[^A-Za-z0-9]", lambda match: b"_%02x" % ord(match[0]), unit.encode())
    return f"{UNITS}/{escaped.decode()}"


class BusError(OmnitronError):
    """systemd answered with an error; `name` is the error's name on the bus."""

    def __init__(self, doing: str, name: str, text: str) -> None:
        super().__init__(f"cannot {doing}: {text[:1].lower()}{text[1:]}".rstrip("."))
        self.name = name


@dataclass(frozen=True)
class JobEnd:
    """Result of a job: `done`, `failed`, `dependency`, `timeout`, `canceled` or `skipped`; `refused` for one that
    was never queued, with systemd's own sentence in `detail`.
    """

    unit: str
    result: str
    detail: str = ""


class Manager:
    """A connection to one manager. Use as `async with Manager(is_user=False) as manager`."""

    def __init__(self, *, is_user: bool) -> None:
        self.is_user = is_user
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._jobs: dict[str, asyncio.Future[JobEnd]] = {}
        self._early_ends: dict[str, JobEnd] = {}
        self._queueing = 0
        self._owner = ""
        self._changed: Callable[[str], None] = _ignore
        self._reread: Callable[[], None] = _ignore

    async def __aenter__(self) -> Self:
        self._bus = await connect(is_user=self.is_user)
        self._bus.add_message_handler(self._on_message)
        try:
            await self._match(f"sender='{NAME}',path='{PATH}',interface='{MANAGER}',member='JobRemoved'")
            # A user's manager may be on its way to the bus still: a call waits for it, a question for it does not.
            await self._subscribe()
            self._owner = await self._call("find systemd", "GetNameOwner", "s", NAME, to=BUS)
        except BaseException:
            self._bus.disconnect()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bus.disconnect()
        await self.closed()

    async def listen(self, changed: Callable[[str], None], reread: Callable[[], None]) -> None:
        """Call `changed` with the name of each unit that changes or whose job ends, from now on.

        And `reread` when systemd has read all units anew, or has started anew: then anything may have changed.
        """
        self._changed, self._reread = changed, reread
        await self._match(f"sender='{NAME}',interface='{PROPERTIES}',path_namespace='{UNITS}',arg0='{NAME}.Unit'")
        await self._match(f"sender='{NAME}',path='{PATH}',interface='{MANAGER}',member='Reloading'")
        await self._match(f"sender='{BUS[0]}',interface='{BUS[2]}',member='NameOwnerChanged',arg0='{NAME}'")

    async def closed(self) -> None:
        """Wait until the bus has closed the connection."""
        await closed(self._bus)

    async def list_units(self, *patterns: str) -> list[UnitState]:
        """Return the loaded units whose names match one of the glob patterns."""
        rows = await self._call("list units", "ListUnitsByPatterns", "asas", [], list(patterns))
        return [UnitState(row[0], row[3], row[8], row[2], row[4]) for row in rows]

    async def properties(self, state: UnitState, interface: str = "Service") -> dict[str, Any]:
        """Return all properties of a loaded unit on one interface (`Service`, `Unit`)."""
        answer = await self._call(
            f"read {state.name}", "GetAll", "s", f"{NAME}.{interface}", to=(NAME, _object_path(state.name), PROPERTIES)
        )
        return {name: variant.value for name, variant in answer.items()}

    async def property(self, state: UnitState, name: str, interface: str = "Service") -> Any:
        """Return one property of a loaded unit."""
        whom = (NAME, _object_path(state.name), PROPERTIES)
        answer = await self._call(f"read {state.name}", "Get", "ss", f"{NAME}.{interface}", name, to=whom)
        return answer.value

    async def run_of(self, state: UnitState) -> str:
        """Return the invocation id of the present run of a loaded unit, or of its last one; empty without any."""
        return bytes(await self.property(state, "InvocationID", "Unit")).hex()

    async def start(self, unit: str) -> asyncio.Future[JobEnd]:
        """Queue a start job; the future is done when the job is."""
        return await self._job("start", "StartUnit", unit)

    async def stop(self, unit: str) -> asyncio.Future[JobEnd]:
        """Queue a stop job."""
        return await self._job("stop", "StopUnit", unit)

    async def restart(self, unit: str) -> asyncio.Future[JobEnd]:
        """Queue a restart job; starts a unit that is not active."""
        return await self._job("restart", "RestartUnit", unit)

    async def reload_unit(self, unit: str) -> asyncio.Future[JobEnd]:
        """Queue a job in which a running unit reads its configuration anew."""
        return await self._job("reload", "ReloadUnit", unit)

    async def reset_failed(self, unit: str) -> None:
        """Forget that a unit failed; one that is not loaded has nothing to forget."""
        try:
            await self._call(f"reset {unit}", "ResetFailedUnit", "s", unit)
        except BusError as error:
            if error.name != NO_SUCH_UNIT:
                raise

    async def reload(self) -> None:
        """Make the manager read all unit files again."""
        await self._call("reload systemd", "Reload")

    async def enable(self, units: Iterable[str], *, runtime: bool) -> None:
        """Link units into what they are wanted by."""
        await self._call("enable units", "EnableUnitFiles", "asbb", list(units), runtime, True)
        await self.reload()

    async def disable(self, units: Iterable[str], *, runtime: bool) -> None:
        """Remove the links that `enable` made."""
        await self._call("disable units", "DisableUnitFiles", "asb", list(units), runtime)
        await self.reload()

    async def kill(self, unit: str, signal: int) -> None:
        """Send a signal to the main process of a unit."""
        await self._call(f"signal {unit}", "KillUnit", "ssi", unit, "main", signal)

    async def _job(self, verb: str, member: str, unit: str) -> asyncio.Future[JobEnd]:
        future = asyncio.get_running_loop().create_future()
        self._queueing += 1
        try:
            path = await self._call(f"{verb} {unit}", member, "ss", unit, "replace")
            if end := self._early_ends.pop(path, None):
                future.set_result(end)
            else:
                self._jobs[path] = future
        finally:
            self._queueing -= 1
            if not self._queueing:
                self._early_ends.clear()
        return future

    def _on_message(self, message: Message) -> bool:
        # Anybody on the bus can send a signal that looks like one of systemd's.
        if message.message_type is not MessageType.SIGNAL or message.sender not in (self._owner, BUS[0]):
            return False
        if message.member == "NameOwnerChanged" and message.sender == BUS[0]:
            self._owner = message.body[2]
        if message.member == "JobRemoved":
            _, path, unit, result = message.body
            self._end_job(path, JobEnd(unit, result))
            self._changed(unit)
        elif message.member == "PropertiesChanged":
            self._changed(_unescape(str(message.path).rpartition("/")[2]))
        elif (message.member == "Reloading" and not message.body[0]) or (
            message.member == "NameOwnerChanged" and message.body[2]
        ):
            self._reread()
        return False

    def _end_job(self, path: str, end: JobEnd) -> None:
        future = self._jobs.pop(path, None)
        if future is None:
            # The answer that names the job may still be on its way; keep the end for it.
            if self._queueing:
                self._early_ends[path] = end
        elif not future.done():
            future.set_result(end)

    async def _match(self, rule: str) -> None:
        await self._call("listen on the bus", "AddMatch", "s", f"type='signal',{rule}", to=BUS)

    async def _subscribe(self) -> None:
        try:
            await self._call("subscribe to systemd", "Subscribe")
        except BusError as error:
            if error.name != ALREADY_SUBSCRIBED:
                raise

    async def subscribe_again(self) -> None:
        """Ask for signals once more: a systemd that was started anew may have forgotten."""
        await self._subscribe()

    async def _call(
        self,
        doing: str,
        member: str,
        signature: str = "",
        *body: Any,
        to: tuple[str, str, str] = (NAME, PATH, MANAGER),
    ) -> Any:
        message = Message(
            destination=to[0],
            path=to[1],
            interface=to[2],
            member=member,
            signature=signature,
            body=list(body),
        )
        async with self._slots:
            if not self._bus.connected:
                raise local.unreachable(self.is_user, "the bus closed the connection")
            try:
                answer = await self._bus.call(message)
            except (OSError, EOFError) as error:
                raise local.unreachable(self.is_user, "the bus closed the connection") from error
        if answer is None:
            raise local.unreachable(self.is_user, "the bus did not answer")
        if answer.message_type is MessageType.ERROR:
            text = str(answer.body[0]) if answer.body else str(answer.error_name)
            if answer.error_name in REFUSED:
                raise NotPermittedError(f"cannot {doing}: not permitted", hint="use sudo, or --user for your own units")
            raise BusError(doing, str(answer.error_name), text)
        return answer.body[0] if answer.body else None
