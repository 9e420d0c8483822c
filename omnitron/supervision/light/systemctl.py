"""Questions of the helpers to the service manager, through systemctl.

systemctl instead of D-Bus, because it uses the private socket of the manager, which works before dbus-daemon
is started and after it is stopped.
"""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE_S = 5.0
_PLACES = ("/usr/bin/systemctl", "/bin/systemctl")
# Only these are passed on: the environment is that of the unit and may contain anything.
_VARIABLES = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


class Question:
    """A systemctl process in the background; `answer` waits for its output."""

    def __init__(self, arguments: Sequence[str], *, user: bool = False) -> None:
        program = next(filter(os.path.exists, _PLACES), _PLACES[0])
        environment = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        self._output, write_end = os.pipe()
        try:
            self._pid = os.posix_spawn(
                program,
                [program, *(["--user"] if user else []), *arguments],
                {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **environment},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, write_end, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
                setsigmask=[],
            )
        except OSError:
            os.close(self._output)
            raise
        finally:
            os.close(write_end)

    def answer(self) -> str:
        """Return the output; empty after PATIENCE_S seconds."""
        text = printed(self._output)
        if text is None:
            os.kill(self._pid, 9)
        os.close(self._output)
        os.waitpid(self._pid, 0)
        return text or ""


def printed(output: int) -> str | None:
    """Return the text that systemctl writes to the descriptor `output`; None if that takes over PATIENCE_S seconds."""
    chunks: list[bytes] = []
    give_up = time.monotonic() + PATIENCE_S
    poll = select.poll()
    poll.register(output, select.POLLIN)
    while poll.poll(max(0.0, give_up - time.monotonic()) * 1000):
        chunk = os.read(output, 65536)
        if not chunk:
            return b"".join(chunks).decode(errors="replace")
        chunks.append(chunk)
    return None


class Properties:
    """Properties of one unit, read on first use: `answer` returns the output of `systemctl show`."""

    def __init__(self, answer: Callable[[], str | None]) -> None:
        self._answer = answer
        self._values: dict[str, str] | None = None

    def get(self, name: str) -> str:
        """Return the text of a property; empty if systemd did not answer."""
        if self._values is None:
            lines = (self._answer() or "").splitlines()
            self._values = {key: value for key, _, value in (line.partition("=") for line in lines)}
        return self._values.get(name, "")


def show(unit: str, names: Sequence[str], *, user: bool = False) -> Properties:
    """Start to read the properties `names` of a unit."""
    return Properties(Question(["show", *(f"--property={name}" for name in names), "--", unit], user=user).answer)


def job_type(unit: str, *, user: bool = False) -> str:
    """Return the type of the unit's pending job (`start`, `stop`, `restart`, …); empty without one."""
    import json  # 6 ms, and most crashes find no job

    arguments = ["list-units", "--all", "--full", "--output=json", "--", unit]
    try:
        units = json.loads(Question(arguments, user=user).answer())
        return str(units[0].get("job", ""))
    except (ValueError, LookupError, AttributeError):
        return ""


def stop(unit: str, *, user: bool = False) -> None:
    """Enqueue a stop job."""
    Question(["stop", "--no-block", "--", unit], user=user).answer()
