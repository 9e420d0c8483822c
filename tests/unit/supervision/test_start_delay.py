import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omnitron.supervision.helpers import start_delay
from omnitron.supervision.helpers.start_delay import main
from omnitron.supervision.state import pending_start
from omnitron.supervision.state.crash_record import Final, read, update
from omnitron.supervision.state.pending_start import Due

Fake = Callable[[str], Path]
UNIT = "omnitron-dev-api.service"
FOLDER = Path(start_delay.__file__).parent
RESTARTED, STARTED = "echo NRestarts=2", "echo NRestarts=0"


@pytest.fixture
def record(tmp_path: Path) -> str:
    return str(tmp_path / "omnitron" / "dev.crashes")


@pytest.fixture(autouse=True)
def messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """What systemd would have received."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def received() -> list[str]:
            found = []
            while True:
                try:
                    found.append(channel.recv(4096).decode())
                except BlockingIOError:
                    return found

        yield received


@pytest.fixture(autouse=True)
def unblock() -> Iterator[None]:
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def arguments(record: str, maximum: int = 30_000) -> list[str]:
    backoff = f"exponential:1000:{maximum}:2"
    return [UNIT, "--record", record, "--backoff", backoff, "--window", "60000"]


def note(record: str, at: float, attempt: int = 3, group: bool = False) -> None:
    pending_start.write(record, UNIT, Due(at, attempt, group))
    with update(record) as content:
        content.unit(UNIT).next = at
        content.unit(UNIT).final = Final(1, "given up")


def tidy(record: str) -> bool:
    unit = read(record).units[UNIT]
    return (unit.next, unit.final) == (None, None) and not Path(record).with_name(f"{UNIT}.due").exists()


@pytest.mark.parametrize("wait", [0.02, 0.2, 0.4])
def test_waits_until_it_is_due(record: str, systemctl: Fake, wait: float) -> None:
    systemctl(RESTARTED)
    at = time.monotonic() + wait
    note(record, at)
    assert main(arguments(record)) == 0
    assert 0 <= time.monotonic() - at < 10
    assert tidy(record)


@pytest.mark.parametrize(
    ("attempt", "group", "happened"),
    [(1, False, "crashed"), (3, False, "crashed 3 times in 60 s"), (2, True, "2 crashes in the group in 60 s")],
)
def test_says_so(
    record: str,
    systemctl: Fake,
    messages: Callable[[], list[str]],
    attempt: int,
    group: bool,
    happened: str,
) -> None:
    systemctl(RESTARTED)
    note(record, time.monotonic() + 0.3, attempt, group)
    main(arguments(record))
    first, last = messages()
    status, extension = first.splitlines()
    assert status.startswith(f"STATUS={happened}, next start in ")
    assert status.endswith(" ms")
    assert extension == "EXTEND_TIMEOUT_USEC=15000000"
    assert last == "STATUS="


def test_keeps_systemd_patient(
    record: str, systemctl: Fake, messages: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_delay, "BEAT_S", 0.1)
    systemctl(RESTARTED)
    note(record, time.monotonic() + 0.55)
    main(arguments(record))
    assert sum("EXTEND_TIMEOUT_USEC" in message for message in messages()) in (2, 3, 4, 5)


@pytest.mark.parametrize("answer", [STARTED, "sleep 0"])
def test_an_operators_start_does_not_wait_for_what_a_stop_left_behind(
    record: str, systemctl: Fake, answer: str
) -> None:
    systemctl(answer)
    started = time.monotonic()
    note(record, started + (60 if answer == STARTED else 3))
    main(arguments(record))
    # No answer is no operator.
    if answer == STARTED:
        assert time.monotonic() - started < 30
    else:
        assert time.monotonic() - started >= 3
    assert tidy(record)


def test_a_past_time_is_no_wait(record: str, systemctl: Fake, messages: Callable[[], list[str]]) -> None:
    calls = systemctl(RESTARTED)
    note(record, 0.0)
    main(arguments(record))
    assert tidy(record)
    assert (calls.read_text(), messages()) == ("", [])


def test_never_longer_than_the_policy_allows(record: str, systemctl: Fake) -> None:
    systemctl(RESTARTED)
    note(record, time.monotonic() + 1e9)
    started = time.monotonic()
    main(arguments(record, maximum=200))
    assert 0.2 <= time.monotonic() - started < 10


def test_a_stop_ends_the_wait_and_leaves_nothing(record: str, systemctl: Fake) -> None:
    systemctl(RESTARTED)
    note(record, time.monotonic() + 20)
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
    started = time.monotonic()
    # In the way of the other threads of the test, which would take the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    assert main(arguments(record)) == 0
    assert 0.25 < time.monotonic() - started < 10
    assert tidy(record)


def test_a_reset_ends_the_wait(record: str, systemctl: Fake) -> None:
    systemctl(RESTARTED)
    note(record, time.monotonic() + 20)
    threading.Timer(0.3, lambda: pending_start.remove(record, UNIT)).start()
    started = time.monotonic()
    assert main(arguments(record)) == 0
    assert 0.25 < time.monotonic() - started < 10


@pytest.mark.parametrize("broken", [[], [UNIT], ["--record"]])
def test_nothing_keeps_the_unit_down(broken: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(broken) == 0
    assert capsys.readouterr().err.startswith("cannot wait before this start: ")


def test_runs_as_systemd_runs_it(record: str, tmp_path: Path) -> None:
    note(record, 0.0)
    argv = [sys.executable, "-I", "-S", str(FOLDER / "run.py"), "start_delay", *arguments(record)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert tidy(record)


# The shell guard.


@pytest.mark.parametrize("pending", [False, True])
def test_the_guard(record: str, pending: bool) -> None:
    if pending:
        note(record, 1.0)
    argv = ["/bin/sh", str(FOLDER / "start_delay.sh"), "/bin/echo", *arguments(record)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    words = ["-I", "-S", str(FOLDER / "run.py"), "start_delay", *arguments(record)]
    assert done.stdout == (" ".join(words) + "\n" if pending else "")
