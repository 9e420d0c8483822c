"""Transient units: a unit that is made on the bus, and gone when it has ended. The only user of pystemd."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from omnitron.errors import NotPermittedError, OmnitronError
from omnitron.systemd import local

NAME = b"org.freedesktop.systemd1"
PATH = b"/org/freedesktop/systemd1"
MANAGER = b"org.freedesktop.systemd1.Manager"
UNIT = b"org.freedesktop.systemd1.Unit"
SERVICE = b"org.freedesktop.systemd1.Service"
BUS = (b"org.freedesktop.DBus", b"/org/freedesktop/DBus", b"org.freedesktop.DBus")

EXITED, KILLED = 1, (2, 3)
"""`ExecMainCode`: CLD_EXITED; CLD_KILLED, CLD_DUMPED."""
SYSTEMD_STATUSES = 200
"""From here on, systemd itself uses exit statuses for what fails before the program is executed."""


class PystemdMissingError(OmnitronError):
    """pystemd is an extra: it has no wheels."""

    def __init__(self) -> None:
        super().__init__(
            "cannot make a transient unit: pystemd is not installed",
            hint="apt install python3-pystemd, or pip install 'omnitron[run]' "
            "(needs libsystemd-dev, pkg-config and a C compiler)",
        )


def require_pystemd() -> None:
    """Raise PystemdMissingError unless pystemd can be imported."""
    try:
        import pystemd.dbuslib  # noqa: F401 - an extra, and 10 ms: imported by those who make a unit
    except ImportError as error:
        raise PystemdMissingError from error


@dataclass(frozen=True)
class Outcome:
    """The end of the main process of a unit."""

    started: bool
    """True if the program was certainly executed; if not, `status` may be systemd's own (203: no such program)."""
    signal: int | None
    """The signal that ended it."""
    status: int
    """Its exit status, 0 when a signal ended it."""
    result: str
    """systemd's word for it: `success`, `exit-code`, `signal`, `core-dump`, `oom-kill`, `timeout`."""

    @property
    def exit_status(self) -> int:
        """The status as a shell gives it: 128 + N for a signal."""
        return self.status if self.signal is None else 128 + self.signal


class TransientUnit:
    """One transient service on one manager's bus. Use as `with TransientUnit(name, is_user=False) as unit`.

    It stays loaded, and its outcome readable, until the connection is closed.
    """

    def __init__(self, name: str, *, is_user: bool) -> None:
        self.name = name
        self.is_user = is_user
        self._job: bytes | None = None
        self._job_result: str | None = None

    def __enter__(self) -> Self:
        from pystemd.dbusexc import DBusBaseError
        from pystemd.dbuslib import DBusAddress, path_encode

        path = local.bus_path(self.is_user)
        self._path = path_encode(PATH + b"/unit", self.name.encode())
        self._bus = DBusAddress(f"unix:path={path}".encode())
        try:
            self._bus.open()
        except DBusBaseError as error:
            raise local.unreachable(self.is_user, f"{path}: {_message(error)}") from error
        for rule in (
            f"type='signal',sender='{NAME.decode()}',interface='{MANAGER.decode()}',member='JobRemoved'",
            f"type='signal',sender='{NAME.decode()}',path='{self._path.decode()}',member='PropertiesChanged'",
        ):
            self._call("listen on the bus", "AddMatch", "s", rule, to=BUS)
        self._call("subscribe to systemd", "Subscribe")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bus.close()

    def fileno(self) -> int:
        """Return the connection's descriptor: it is readable when `is_over` may have another answer."""
        return int(self._bus.get_fd())

    def start(self, properties: Iterable[tuple[str, str, Any]]) -> None:
        """Queue its start; `properties` are name, D-Bus signature and value."""
        arguments = [*_encode("ss", self.name, "fail"), (ord("a"), b"(sv)")]
        settings: list[tuple[str, str, Any]] = [("CollectMode", "s", "inactive-or-failed"), ("AddRef", "b", True)]
        for name, signature, value in (*properties, *settings):
            arguments += [(ord("r"), b"sv"), *_encode("s", name), (ord("v"), signature.encode())]
            arguments += [*_encode(signature, value), (-1, None), (-1, None)]
        arguments += [(-1, None), (ord("a"), b"(sa(sv))"), (-1, None)]
        self._job = self._send(f"start {self.name}", "StartTransientUnit", arguments)

    def is_over(self) -> bool:
        """Return whether it has ended; looks at what the bus has sent since the last call."""
        self._receive()
        # Signals that arrive together with an answer are held back by the library: look again.
        while True:
            active = str(self._property(UNIT, b"ActiveState", b"s").decode())
            job = self._property(UNIT, b"Job", b"(uo)")[0]
            if not self._receive():
                return self._job_result is not None and not job and active in ("inactive", "failed")

    def outcome(self) -> Outcome:
        """Return how it ended."""
        code = int(self._property(SERVICE, b"ExecMainCode", b"i"))
        status = int(self._property(SERVICE, b"ExecMainStatus", b"i"))
        result = str(self._property(SERVICE, b"Result", b"s").decode())
        killed = code in KILLED
        started = self._job_result == "done" or killed or (code == EXITED and status < SYSTEMD_STATUSES)
        return Outcome(started, status if killed else None, 0 if killed else status, result)

    def stop(self) -> None:
        """Queue its stop: SIGTERM, and SIGKILL after its time limit."""
        self._call(f"stop {self.name}", "StopUnit", "ss", self.name, "replace")

    def kill(self, signal: int) -> None:
        """Send a signal to all of its processes."""
        self._call(f"signal {self.name}", "KillUnit", "ssi", self.name, "all", signal)

    def user_of(self, unit: str) -> str:
        """Return the user that a unit runs as, the name of a dynamic one included; empty where it has none."""
        path = self._call(f"load {unit}", "LoadUnit", "s", unit)
        return str(self._property(SERVICE, b"User", b"s", path).decode())

    def _receive(self) -> bool:
        """Take what the bus has sent; return whether there was anything."""
        from pystemd.dbusexc import DBusBaseError

        received = False
        try:
            while not (message := self._bus.process()).is_empty():
                received = True
                if message.get_member() == b"JobRemoved":
                    message.process_reply(False)
                    if message.body[1] == self._job:
                        self._job_result = message.body[3].decode()
        except DBusBaseError as error:
            raise self._lost(error) from error
        return received

    def _property(self, interface: bytes, name: bytes, signature: bytes, path: bytes | None = None) -> Any:
        from pystemd.dbusexc import DBusBaseError

        try:
            return self._bus.get_property(NAME, path or self._path, interface, name, signature)
        except DBusBaseError as error:
            raise self._lost(error) from error

    def _call(
        self,
        doing: str,
        method: str,
        signature: str = "",
        *values: Any,
        to: tuple[bytes, bytes, bytes] = (NAME, PATH, MANAGER),
    ) -> Any:
        return self._send(doing, method, _encode(signature, *values), to)

    def _send(
        self,
        doing: str,
        method: str,
        arguments: list[tuple[int, Any]],
        to: tuple[bytes, bytes, bytes] = (NAME, PATH, MANAGER),
    ) -> Any:
        from pystemd import dbusexc

        try:
            return self._bus.call_method(*to, method.encode(), arguments).body
        except (dbusexc.DBusAccessDeniedError, dbusexc.DBusInteractiveAuthorizationRequiredError) as error:
            raise NotPermittedError(
                f"cannot {doing}: not permitted", hint="use sudo, or --user for your own manager"
            ) from error
        except dbusexc.DBusBaseError as error:
            raise OmnitronError(f"cannot {doing}: {_message(error)}") from error

    def _lost(self, error: Exception) -> OmnitronError:
        return OmnitronError(
            f"cannot follow {self.name}: {_message(error)}", hint=f"it may still run: systemctl status {self.name}"
        )


def _encode(signature: str, *values: Any) -> list[tuple[int, Any]]:
    from pystemd.dbuslib import apply_signature

    return list(apply_signature(signature.encode(), list(values))) if signature else []


def _message(error: Any) -> str:
    text = error.err_message.decode() if isinstance(error.err_message, bytes) else str(error.err_message)
    return (text[:1].lower() + text[1:]).rstrip(".") or "the bus closed the connection"
