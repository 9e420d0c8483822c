"""The helpers under a real systemd, in hand-written units with the lines that the planner writes."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, pairwise
from typing import Any

import pytest

from omnitron.supervision.state.crash_record import Record, UnitRecord, parse
from tests.support.machines import Machine

NUMBERS = count(1)
FAST = "exponential:100:30000:2"
# Every program says first when it started: what the journal knows is when it heard of it, later on a busy machine.
UP = "read -r at _ </proc/uptime; echo up $at; "
# They live long enough for journald to see of which unit they are.
CRASHES = "sleep 0.05; exit 1"
STAYS = "exec sleep 1000"
CRASHES_ON_DEMAND = "sleep 0.05; while [ ! -e /run/$0.crash ]; do sleep 0.02; done; exit 1"
# What a noisy machine of two cores may add to a delay where the delay is not the subject.
NOISE_S = 1.0

FAILURES = """
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo %i >>%t/failures'
"""
UNIT = r"""
[Unit]
StartLimitBurst=20
StartLimitIntervalSec=10
OnFailure=crash-helpers-failed@%n.service
[Service]
Type={type}
Restart={restart}
RestartSec=0
{mode}
SuccessExitStatus=143
RestartForceExitStatus=143 SIGTERM SIGINT SIGHUP SIGPIPE
KillMode=mixed
NotifyAccess=exec
TimeoutStopSec=5
ExecStartPre=-+/bin/sh {helpers}/start_delay.sh {python} %n {user} --record {record} \
    --window {window} --backoff {backoff}
ExecStart=/bin/sh -c {program} %n
ExecStopPost=+/bin/sh {helpers}/count_crash.sh {python} %n {user} --record {record} \
    --budget {budget} --backoff {backoff} {always}
{service}
"""


def sent_at(entry: dict[str, Any]) -> float:
    """Monotonic seconds at which a message was sent: by its sender if the journal knows that."""
    received = int(entry["__REALTIME_TIMESTAMP"])
    late = received - int(entry.get("_SOURCE_REALTIME_TIMESTAMP", received))
    return (int(entry["__MONOTONIC_TIMESTAMP"]) - late) / 1e6


class Unit:
    """One service of the test, and what is known about it."""

    def __init__(self, machine: Machine, name: str, record: str, user: str | None) -> None:
        self.machine = machine
        self.name = name
        self.record_path = record
        self.user = user

    def systemctl(self, *args: str, check: bool = True) -> str:
        scope = ["--user"] if self.user else []
        return self.machine.run("systemctl", *scope, *args, check=check, user=self.user).stdout.strip()

    def start(self) -> None:
        self.systemctl("start", "--no-block", self.name)

    def show(self, prop: str) -> str:
        return self.systemctl("show", "--value", f"--property={prop}", self.name)

    def state(self) -> str:
        lines = self.systemctl("show", "--property=ActiveState,SubState", self.name).split("\n")
        return "/".join(line.partition("=")[2] for line in sorted(lines))

    def wait_for(self, state: str, timeout: float = 20) -> None:
        self.machine.wait(lambda: self.state() == state, timeout, f"{self.name} is {state}, not {self.state()}")

    def kill(self, signal: str = "KILL") -> None:
        self.systemctl("kill", "--kill-who=main", f"--signal={signal}", self.name)

    def crash(self) -> None:
        """Make a program that waits for it exit with 1."""
        self.machine.write(f"/run/{self.name}.crash", "")

    def journal(self) -> list[tuple[float, str]]:
        """Monotonic seconds and text of every message by or about the unit; as sent, where the journal knows it."""
        if not self.user:
            entries: list[dict[str, Any]] = self.machine.journal(self.name)
        else:
            self.machine.run("journalctl", "--sync")
            argv = ["journalctl", "--output=json", f"_SYSTEMD_USER_UNIT={self.name}", "+", f"USER_UNIT={self.name}"]
            entries = [json.loads(line) for line in self.machine.run(*argv).stdout.splitlines()]
        return [(sent_at(entry), entry["MESSAGE"]) for entry in entries]

    def ups(self) -> list[float]:
        asleep = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
        return [float(text.split()[1]) - asleep for _, text in self.journal() if text.startswith("up ")]

    def wait_for_ups(self, number: int, timeout: float = 20) -> None:
        self.machine.wait(lambda: len(self.ups()) >= number, timeout, f"{self.name} started {number} times")

    def exits(self) -> list[float]:
        """Not those that systemd takes for a success: it does not mention them."""
        return [at for at, text in self.journal() if "Main process exited" in text]

    def delays(self, exits: Sequence[float] = ()) -> list[float]:
        """Seconds from each exit to the next start."""
        ups = self.ups()
        return [min(up for up in ups if up > at) - at for at in exits or self.exits() if at < ups[-1]]

    def said(self) -> list[str]:
        """What the helpers said about crashes."""
        return [text for _, text in self.journal() if text.startswith(("crashed", "cannot"))]

    def record(self) -> Record:
        return parse(self.machine.read(self.record_path).encode())

    def recorded(self) -> UnitRecord:
        return self.record().unit(self.name)

    def restarts(self) -> int:
        """Those that are counted; 0 without a record."""
        if self.machine.run("test", "-e", self.record_path, check=False).returncode:
            return 0
        return self.recorded().restarts

    def given_up(self) -> int:
        """How often OnFailure= fired."""
        runtime = f"/run/user/{self.uid()}" if self.user else "/run"
        text = self.machine.run("cat", f"{runtime}/failures", check=False).stdout
        return text.split().count(self.name)

    def uid(self) -> str:
        return self.machine.run("id", "-u", self.user or "root").stdout.strip()


class Lab:
    """Makes services on one machine, of the system or of a user."""

    def __init__(self, machine: Machine, user: str | None = None) -> None:
        self.machine = machine
        self.user = user
        self.units: list[Unit] = []
        if user:
            machine.sandbox.user_manager(user)
        self._write("crash-helpers-failed@.service", FAILURES)

    def unit(
        self,
        program: str,
        *,
        budget: str = "5:60000",
        backoff: str = FAST,
        record: str = "%n",
        type: str = "exec",
        restart: str = "on-failure",
        service: str = "",
    ) -> Unit:
        """A new service, not started yet, that runs `program` in a shell."""
        name = f"crash-helpers-{next(NUMBERS)}.service"
        text = UNIT.format(
            type=type,
            restart=restart,
            mode="RestartMode=direct" if self._version() >= 254 else "",
            helpers=self.machine.code / "omnitron/supervision/helpers",
            python=self.machine.python[-1],
            user="--user" if self.user else "",
            record=f"%t/omnitron/test/{record}.crashes",
            window=budget.partition(":")[2],
            backoff=backoff,
            budget=budget,
            program=shlex.quote((UP + program).replace("$", "$$").replace("%", "%%")),
            always="--restart always" if restart == "always" else "",
            service=service,
        )
        self._write(name, text)
        runtime = f"/run/user/{self.machine.run('id', '-u', self.user).stdout.strip()}" if self.user else "/run"
        path = f"{runtime}/omnitron/test/{record.replace('%n', name)}.crashes"
        unit = Unit(self.machine, name, path, self.user)
        unit.systemctl("daemon-reload")
        self.units.append(unit)
        return unit

    def custom(self, text: str) -> Unit:
        """A new service of the test's own text."""
        name = f"crash-helpers-{next(NUMBERS)}.service"
        self._write(name, text)
        unit = Unit(self.machine, name, "", self.user)
        unit.systemctl("daemon-reload")
        self.units.append(unit)
        return unit

    def _version(self) -> int:
        return int(self.machine.systemctl("--version").split()[1])

    def _write(self, name: str, text: str) -> None:
        if self.user:
            folder = f"/home/{self.user}/.config/systemd/user"
            self.machine.run("mkdir", "-p", folder, user=self.user)
            self.machine.write(f"{folder}/{name}", text, owner=self.user)
        else:
            self.machine.write(f"/run/systemd/system/{name}", text)

    def close(self) -> None:
        for unit in self.units:
            unit.systemctl("stop", unit.name, check=False)


@pytest.fixture
def lab(machine: Machine) -> Iterator[Lab]:
    made = Lab(machine)
    yield made
    made.close()


@pytest.fixture(params=[None, "alice"], ids=["system", "user"])
def any_lab(machine: Machine, request: pytest.FixtureRequest) -> Iterator[Lab]:
    made = Lab(machine, request.param)
    yield made
    made.close()


def assert_delays(found: list[float], wanted: list[float]) -> None:
    """Roughly: the machine may be busy, and here something else is the subject."""
    assert len(found) == len(wanted)
    for is_, should in zip(found, wanted, strict=True):
        # Of the start, hundredths are known.
        assert should - 0.03 < is_ < should + NOISE_S


def assert_exact_delays(run: Callable[[], list[float]], wanted: list[float]) -> None:
    """Each within 5 % plus 60 ms, in one run out of three, unless the machine is busy with something else."""
    runs = []
    for _ in range(3):
        runs.append(run())
        assert_delays(runs[-1], wanted)
        if all(is_ <= should * 1.05 + 0.06 for is_, should in zip(runs[-1], wanted, strict=True)):
            return
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    assert busy, f"wanted {wanted}, got {runs}"


# The default policy.


def test_a_crash_loop_ends_with_the_sixth_crash(any_lab: Lab) -> None:
    unit = any_lab.unit(CRASHES)
    unit.start()
    unit.wait_for("failed/failed")
    assert len(unit.ups()) == 6
    assert_delays(unit.delays(), [0.1, 0.2, 0.4, 0.8, 1.6])
    assert unit.show("Result") == "exit-code"
    assert unit.name in unit.systemctl("--failed", "--plain", "--no-legend")
    state = unit.recorded()
    last = "crashed (exit code 1), 6 times in 60 s: given up after 5 restarts"
    assert state.final and state.last_exit
    assert (state.restarts, state.next, state.final.reason) == (5, None, last)
    assert state.last_exit.at == pytest.approx(time.time(), abs=60)
    any_lab.machine.wait(lambda: unit.given_up() == 1, what="OnFailure= fired")
    time.sleep(0.5)
    assert (unit.given_up(), len(unit.ups())) == (1, 6)


def test_every_crash_is_told(lab: Lab) -> None:
    unit = lab.unit(CRASHES)
    unit.start()
    unit.wait_for("failed/failed")
    assert unit.said() == [
        "crashed (exit code 1); next start in 100 ms",
        "crashed (exit code 1), 2 times in 60 s; next start in 200 ms",
        "crashed (exit code 1), 3 times in 60 s; next start in 400 ms",
        "crashed (exit code 1), 4 times in 60 s; next start in 800 ms",
        "crashed (exit code 1), 5 times in 60 s; next start in 1.6 s",
        "crashed (exit code 1), 6 times in 60 s: given up after 5 restarts",
    ]


def test_started_again_it_has_a_fresh_budget(lab: Lab) -> None:
    unit = lab.unit(CRASHES_ON_DEMAND, budget="2:60000")
    unit.start()
    unit.crash()
    unit.wait_for("failed/failed")
    assert len(unit.ups()) == 3
    lab.machine.run("rm", f"/run/{unit.name}.crash")
    started = time.monotonic()
    unit.systemctl("start", unit.name)
    assert time.monotonic() - started < NOISE_S
    unit.wait_for("active/running")
    assert unit.recorded().final is None
    unit.crash()
    unit.wait_for("failed/failed")
    assert len(unit.ups()) == 6
    assert_delays(unit.delays()[-2:], [0.1, 0.2])
    lab.machine.wait(lambda: unit.given_up() == 2, what="OnFailure= fired again")


def test_no_restarts_at_all(lab: Lab) -> None:
    unit = lab.unit(CRASHES, budget="0:60000")
    unit.start()
    unit.wait_for("failed/failed")
    time.sleep(0.3)
    assert (len(unit.ups()), unit.given_up()) == (1, 1)


def test_rare_crashes_never_end_it(lab: Lab) -> None:
    """One every 15 s against 5 in 60 s, thirty times as fast."""
    unit = lab.unit("sleep 0.48; exit 1", budget="5:2000", backoff="fixed:20:20:1")
    unit.start()
    unit.wait_for_ups(16, timeout=30)
    assert unit.show("ActiveState") != "failed"
    assert unit.given_up() == 0
    assert unit.restarts() >= 15


def test_the_window_slides(lab: Lab) -> None:
    """A window that opens with its first crash would forget the crash at 1.5 s with that at 0 s."""
    unit = lab.unit(STAYS, budget="2:3000", backoff="fixed:20:20:1")
    unit.systemctl("start", unit.name)
    begun = time.monotonic()
    for number, at in enumerate((0, 1.5, 3.6), start=1):
        time.sleep(max(0, begun + at - time.monotonic()))
        unit.kill()
        unit.wait_for_ups(number + 1)
    assert unit.said()[-1] == "crashed (signal KILL), 2 times in 3 s; next start in 20 ms"
    unit.kill()
    unit.wait_for("failed/failed")
    first, second, third, last = unit.exits()
    assert third - first > 3 > last - second, "the machine is too slow for this test"


def test_the_delay_falls_back_as_the_window_empties(lab: Lab) -> None:
    unit = lab.unit(STAYS, budget="5:1500", backoff=FAST)
    unit.systemctl("start", unit.name)
    for pause in (0, 0, 2.5):
        time.sleep(pause)
        unit.kill()
        unit.wait_for_ups(len(unit.exits()) + 1)
    assert_delays(unit.delays(), [0.1, 0.2, 0.1])


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        ("exponential:200:1000:2", [0.2, 0.4, 0.8, 1.0]),
        ("linear:100:250:1", [0.1, 0.2, 0.25, 0.25]),
        ("fixed:300:300:1", [0.3] * 4),
    ],
)
def test_delays_are_exact(lab: Lab, backoff: str, delays: list[float]) -> None:
    def run() -> list[float]:
        unit = lab.unit(CRASHES, budget="4:60000", backoff=backoff)
        unit.start()
        unit.wait_for("failed/failed")
        return unit.delays()

    assert_exact_delays(run, delays)


def test_a_delay_of_next_to_nothing(lab: Lab) -> None:
    unit = lab.unit(CRASHES, budget="4:60000", backoff="exponential:5:10:2")
    unit.start()
    unit.wait_for("failed/failed")
    assert_delays(unit.delays(), [0.005, 0.01, 0.01, 0.01])


def test_a_delay_is_told_and_outlasts_the_start_timeout(any_lab: Lab) -> None:
    unit = any_lab.unit(STAYS, backoff="fixed:3000:3000:1", service="TimeoutStartSec=1")
    unit.systemctl("start", unit.name)
    unit.kill()
    unit.wait_for("activating/start-pre")
    any_lab.machine.wait(lambda: unit.show("StatusText"), what="a status text")
    # Said within 50 ms of the crash, what is left of it is rounded up.
    assert re.fullmatch(r"crashed, next start in (3|2\.\d) s", unit.show("StatusText"))
    assert unit.recorded().next
    unit.wait_for("active/running")
    assert unit.show("StatusText") == ""
    assert_delays(unit.delays(), [3])
    assert unit.recorded().next is None


# What counts.


@pytest.mark.parametrize("signal", ["TERM", "INT", "HUP", "PIPE", "KILL", "SEGV"])
def test_a_signal_from_outside_counts(lab: Lab, signal: str) -> None:
    unit = lab.unit(STAYS, budget="2:60000", backoff="fixed:300:300:1", service="IgnoreSIGPIPE=no")
    unit.systemctl("start", unit.name)
    for number in (1, 2):
        unit.kill(signal)
        unit.wait_for_ups(number + 1)
        unit.wait_for("active/running")
        assert unit.restarts() == number
    assert_delays(unit.delays([crash.at for crash in unit.record().crashes]), [0.3, 0.3])
    unit.kill(signal)
    unit.wait_for("failed/failed")
    assert unit.said()[-1] == f"crashed (signal {signal}), 3 times in 60 s: given up after 2 restarts"
    time.sleep(0.3)
    assert (unit.given_up(), len(unit.ups())) == (1, 3)


def test_a_description_cannot_pass_for_a_stop(lab: Lab) -> None:
    forged = 'ja.service","job":"stop","x":"'
    unit = lab.unit(STAYS, service=f"Environment=SYSTEMD_COLORS=1\n[Unit]\nDescription={forged}")
    unit.systemctl("start", unit.name)
    assert unit.show("Description") == forged
    unit.kill("TERM")
    unit.wait_for_ups(2)
    unit.systemctl("restart", unit.name)
    assert unit.restarts() == 1


def test_a_sandbox_does_not_hold_the_helpers(any_lab: Lab) -> None:
    hardened = "PrivateUsers=yes\nProtectSystem=strict\nProtectHome=tmpfs\nPrivateTmp=yes\nUMask=0077"
    unit = any_lab.unit(STAYS, service=hardened)
    unit.systemctl("start", unit.name)
    unit.kill("TERM")
    unit.wait_for_ups(2)
    unit.wait_for("active/running")
    unit.systemctl("restart", unit.name)
    assert unit.restarts() == 1


def test_a_user_services_death_by_sigterm_counts(machine: Machine) -> None:
    lab = Lab(machine, "alice")
    unit = lab.unit(STAYS, budget="1:60000")
    unit.systemctl("start", unit.name)
    unit.kill("TERM")
    unit.wait_for_ups(2)
    unit.wait_for("active/running")
    unit.systemctl("restart", unit.name)
    assert unit.restarts() == 1
    unit.kill("TERM")
    unit.wait_for("failed/failed")
    machine.wait(lambda: unit.given_up() == 1, what="OnFailure= fired")
    lab.close()


@pytest.mark.parametrize(
    ("program", "verbs"),
    [
        (STAYS, ["stop", "start", "restart", "try-restart"]),
        ("trap 'exit 0' TERM; while :; do sleep 0.05; done", ["stop", "start", "restart"]),
        ("trap 'exit 143' TERM; while :; do sleep 0.05; done", ["stop", "start", "restart"]),
        # A program that fails at its end is the operator's own affair.
        ("trap 'exit 7' TERM; while :; do sleep 0.05; done", ["restart", "restart", "restart"]),
    ],
    ids=["dies", "exits", "exits 143", "fails"],
)
@pytest.mark.parametrize("restart", ["on-failure", "always"])
def test_an_operators_stop_does_not(lab: Lab, program: str, verbs: list[str], restart: str) -> None:
    unit = lab.unit(program, budget="0:60000", restart=restart)
    unit.systemctl("start", unit.name)
    unit.wait_for_ups(1)
    for verb in verbs:
        unit.systemctl(verb, unit.name)
        time.sleep(0.1)
    assert unit.state() == "active/running"
    assert (unit.restarts(), unit.said()) == (0, [])


def test_a_stop_that_has_to_kill_does_not(lab: Lab) -> None:
    unit = lab.unit("trap '' TERM; while :; do sleep 0.05; done", service="TimeoutStopSec=0.3")
    unit.systemctl("start", unit.name)
    unit.wait_for_ups(1)
    unit.systemctl("restart", unit.name)
    assert unit.state() == "active/running"
    assert (unit.restarts(), unit.said()) == (0, [])


def test_the_stop_of_its_target_does_not(lab: Lab) -> None:
    unit = lab.unit(STAYS)
    target = unit.name.replace(".service", ".target")
    lab.machine.write(f"/run/systemd/system/{target}", f"[Unit]\nWants={unit.name}\n")
    lab.machine.write(f"/run/systemd/system/{unit.name}.d/part.conf", f"[Unit]\nPartOf={target}\n")
    unit.systemctl("daemon-reload")
    for verb in ("start", "restart", "stop"):
        unit.systemctl(verb, target)
    lab.machine.wait(lambda: unit.show("ActiveState") == "inactive", what="stopped")
    assert (unit.restarts(), unit.said()) == (0, [])


def test_ten_plain_restarts(lab: Lab) -> None:
    unit = lab.unit(STAYS)
    unit.systemctl("start", unit.name)
    for _ in range(10):
        unit.systemctl("restart", unit.name)
    assert unit.state() == "active/running"
    assert (unit.restarts(), unit.said()) == (0, [])


def test_a_clean_exit_is_no_crash(lab: Lab) -> None:
    unit = lab.unit("exit 0")
    unit.start()
    unit.wait_for_ups(1)
    unit.wait_for("inactive/dead")
    time.sleep(0.3)
    assert (len(unit.ups()), unit.restarts(), unit.given_up()) == (1, 0, 0)


def test_always_counts_a_clean_exit(lab: Lab) -> None:
    unit = lab.unit("exit 0", restart="always", budget="2:60000")
    unit.start()
    unit.wait_for("failed/failed")
    # It lives for no time at all.
    assert_delays([later - earlier for earlier, later in pairwise(unit.ups())], [0.1, 0.2])
    assert unit.said()[-1] == "crashed (exit code 0), 3 times in 60 s: given up after 2 restarts"
    lab.machine.wait(lambda: unit.given_up() == 1, what="OnFailure= fired")


@pytest.mark.parametrize(
    ("type_", "service", "cause"),
    [
        ("exec", "WatchdogSec=0.3", "watchdog timeout"),
        ("notify", "TimeoutStartSec=0.3", "timeout"),
        ("exec", "ExecStartPost=/bin/false", "a start command failed"),
        ("exec", "ExecStartPre=/bin/false", "a start command failed"),
        ("exec", "ExecStart=\nExecStart=/nonexistent", "cannot execute its program: is it there, and executable?"),
        ("exec", "RuntimeMaxSec=0.3", "timeout"),
    ],
    ids=["watchdog", "start timeout", "start-post", "start-pre", "no such program", "runtime"],
)
def test_other_failures_count(lab: Lab, type_: str, service: str, cause: str) -> None:
    unit = lab.unit(STAYS, budget="2:60000", type=type_, service=service)
    unit.start()
    unit.wait_for("failed/failed")
    assert unit.said()[-1] == f"crashed ({cause}), 3 times in 60 s: given up after 2 restarts"
    assert unit.restarts() == 2
    lab.machine.wait(lambda: unit.given_up() == 1, what="OnFailure= fired")


def test_a_service_that_dies_before_it_is_ready(lab: Lab) -> None:
    """Its start job is still there, also the operator's own: no sign of a stop."""
    unit = lab.unit("kill -TERM $$; sleep 9", budget="2:60000", type="notify")
    unit.start()
    unit.wait_for("failed/failed")
    assert unit.restarts() == 2


def test_killed_by_sigterm_while_it_is_probed(lab: Lab) -> None:
    """Result=success, exit by SIGTERM, and a job that is pending: but a start job."""
    unit = lab.unit(STAYS, budget="1:60000", service="ExecStartPost=/bin/sleep 1")
    unit.start()
    for number in (1, 2):
        unit.wait_for_ups(number)
        unit.wait_for("activating/start-post")
        unit.kill("TERM")
    unit.wait_for("failed/failed")
    assert unit.restarts() == 1


def test_a_group_shares_one_record(lab: Lab) -> None:
    units = [lab.unit(STAYS, budget="2:60000", record="group") for _ in range(3)]
    for unit in units:
        unit.systemctl("start", unit.name)
    for unit in units[:2]:
        unit.kill()
        unit.wait_for_ups(2)
    units[2].kill()
    units[2].wait_for("failed/failed")
    assert units[2].said() == ["crashed (signal KILL), 3 crashes in the group in 60 s: given up after 2 restarts"]
    assert [unit.restarts() for unit in units] == [1, 1, 0]
    assert units[0].state() == "active/running"


def test_many_crash_at_once(lab: Lab) -> None:
    units = [lab.unit(STAYS, budget="50:60000", record="crowd", backoff="fixed:100:100:1") for _ in range(8)]
    for unit in units:
        unit.systemctl("start", unit.name)
    units[0].systemctl("kill", "--kill-who=main", "--signal=KILL", *(unit.name for unit in units))
    for unit in units:
        unit.wait_for_ups(2)
    assert [unit.restarts() for unit in units] == [1] * 8
    assert len(units[0].record().crashes) == 8


# Operators in the middle of a delay.


@pytest.fixture
def waiting(any_lab: Lab) -> Unit:
    """A unit in the middle of a delay of 20 s."""
    unit = any_lab.unit(STAYS, backoff="fixed:20000:20000:1")
    unit.systemctl("start", unit.name)
    unit.wait_for_ups(1)
    unit.kill()
    unit.wait_for("activating/start-pre")
    unit.machine.wait(lambda: unit.show("StatusText"), what="a status text")
    return unit


def quickly(do: Callable[[], object]) -> None:
    started = time.monotonic()
    do()
    assert time.monotonic() - started < 10


def test_a_stop_during_a_delay_is_immediate_and_forgets_it(waiting: Unit) -> None:
    quickly(lambda: waiting.systemctl("stop", waiting.name))
    assert waiting.show("ActiveState") == "inactive"
    assert waiting.recorded().next is None
    quickly(lambda: waiting.systemctl("start", waiting.name))
    assert waiting.state() == "active/running"
    assert (waiting.restarts(), waiting.given_up()) == (1, 0)


def test_a_restart_during_a_delay_is_immediate(waiting: Unit) -> None:
    quickly(lambda: waiting.systemctl("restart", waiting.name))
    assert waiting.state() == "active/running"
    assert waiting.restarts() == 1


def test_a_delay_whose_helper_was_killed_is_forgotten(waiting: Unit) -> None:
    waiting.systemctl("kill", "--kill-who=control", "--signal=STOP", waiting.name)
    waiting.systemctl("kill", "--kill-who=control", "--signal=KILL", waiting.name)
    waiting.wait_for("active/running")
    waiting.systemctl("stop", waiting.name)
    quickly(lambda: waiting.systemctl("start", waiting.name))
    waiting.systemctl("stop", waiting.name)
    assert waiting.restarts() == 1


# Bad days.


def test_a_damaged_record_starts_anew(lab: Lab) -> None:
    unit = lab.unit(STAYS)
    unit.systemctl("start", unit.name)
    unit.machine.write(unit.record_path, f"crash\t1e99\t{unit.name}\nunit\t{unit.name}\tmany\t\nexi")
    unit.kill()
    unit.wait_for_ups(2)
    assert_delays(unit.delays(), [0.1])
    assert unit.restarts() == 1


def test_a_folder_of_another_user_is_refused_and_the_unit_restarts(lab: Lab) -> None:
    unit = lab.unit(STAYS, record="../mallory/%n")
    lab.machine.run("install", "-d", "--owner=nobody", "/run/omnitron/mallory")
    unit.systemctl("start", unit.name)
    unit.kill()
    unit.wait_for_ups(2)
    assert lab.machine.run("ls", "/run/omnitron/mallory").stdout == ""
    assert unit.said() == ["cannot record this crash: [Errno 1] folder can be changed by another user: 'mallory'"]


def test_a_full_run_does_not_keep_it_down(lab: Lab) -> None:
    """Not even by systemd's own start limit: 20 starts in 10 s."""
    unit = lab.unit("exit 1", record="full/%n")
    folder = "/run/omnitron/test/full"
    lab.machine.run("mkdir", "-p", folder)
    lab.machine.run("mount", "-t", "tmpfs", "-o", "size=4k,mode=755", "tmpfs", folder)
    try:
        lab.machine.run("dd", "if=/dev/zero", f"of={folder}/filler", "bs=4k", "count=1")
        unit.start()
        unit.wait_for_ups(4)
        assert unit.show("ActiveState") != "failed"
        assert unit.said()[0].startswith("cannot record this crash: ")
        gaps = [later - earlier for earlier, later in pairwise(unit.ups())]
        assert min(gaps) > 0.6
    finally:
        unit.systemctl("stop", unit.name)
        lab.machine.run("umount", folder)


def test_a_missing_interpreter_does_not_keep_it_down(lab: Lab) -> None:
    unit = lab.unit(STAYS)
    path = f"/run/systemd/system/{unit.name}"
    python = lab.machine.python[-1]
    lab.machine.write(path, lab.machine.read(path).replace(python, "/nonexistent/python"))
    unit.systemctl("daemon-reload")
    unit.systemctl("start", unit.name)
    for number, signal in enumerate(("KILL", "TERM"), start=2):
        unit.kill(signal)
        unit.wait_for_ups(number)
        unit.wait_for("active/running")
    unit.systemctl("stop", unit.name)
    assert unit.show("ActiveState") == "inactive"


# The readiness probe.


def probe(lab: Lab, *arguments: str, deadline: int = 10_000) -> str:
    argv = [
        lab.machine.python[-1],
        "-I",
        "-S",
        str(lab.machine.code / "omnitron/supervision/helpers/run.py"),
        "readiness_probe",
    ]
    return shlex.join(["--deadline-ms", str(deadline), "--timeout-ms", "1000", *arguments]).join(
        [f"ExecStartPost={shlex.join(argv)} ", "\n"]
    )


def http(lab: Lab, port: int) -> str:
    """A program that serves http after a while."""
    return f"sleep 0.5; exec {lab.machine.python[-1]} -m http.server --directory /var/empty {port}"


def test_a_probed_service_is_started_when_it_answers(lab: Lab) -> None:
    lab.machine.run("mkdir", "-p", "/var/empty")
    for port, arguments in ((8001, ["--http", "http://127.0.0.1:8001/"]), (8002, ["--tcp", "127.0.0.1:8002"])):
        unit = lab.unit(http(lab, port), service=probe(lab, *arguments))
        started = time.monotonic()
        unit.systemctl("start", unit.name)
        assert time.monotonic() - started > 0.4
        assert unit.state() == "active/running"
        lab.machine.run(lab.machine.python[-1], "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}))")


def test_a_probe_in_a_sandbox(lab: Lab) -> None:
    """With the system calls and the user of a hardened unit."""
    hardened = "DynamicUser=yes\nSystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM\nProtectProc=invisible\n"
    unit = lab.unit(STAYS, service=hardened + probe(lab, "--command", "true"))
    unit.systemctl("start", unit.name)
    gone = lab.unit("sleep 0.3; exit 1", service=hardened + probe(lab, "--tcp", "127.0.0.1:1"), budget="0:9")
    started = time.monotonic()
    gone.systemctl("start", gone.name, check=False)
    assert time.monotonic() - started < 15
    gone.wait_for("failed/failed")
    assert "not ready, its main process is gone: tcp 127.0.0.1:1: connection refused" in [t for _, t in gone.journal()]
    assert gone.recorded().final


def test_a_probe_that_never_succeeds_is_a_crash(lab: Lab) -> None:
    unit = lab.unit(STAYS, budget="1:60000", service=probe(lab, "--command", "false", deadline=300))
    unit.start()
    unit.wait_for("failed/failed")
    assert [text for _, text in unit.journal()].count("not ready after 300 ms: command false: exit code 1") == 2
    assert unit.restarts() == 1


# The health gate.


def gate(lab: Lab, *units: Unit) -> Unit:
    """A unit that wants `units` and opens when they are all active."""
    names = " ".join(unit.name for unit in units)
    user = "--user" if lab.user else ""
    helper = lab.machine.code / "omnitron/supervision/helpers/health_gate.sh"
    text = f"""
[Unit]
Wants={names}
After={names}
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh {helper} {user} {names}
"""
    return lab.custom(text)


def test_the_gate_opens_when_all_are_active(any_lab: Lab) -> None:
    units = [any_lab.unit("exec sleep 1000", service="ExecStartPost=/bin/sleep 0.3") for _ in range(2)]
    door = gate(any_lab, *units)
    door.systemctl("start", door.name)
    assert [unit.state() for unit in units] == ["active/running"] * 2
    assert door.state() == "active/exited"


def test_the_gate_waits_for_the_second_attempt(lab: Lab) -> None:
    """In every state between the attempts, also in a longer delay."""
    first_fails = "[ -e /run/$0.tried ] || { touch /run/$0.tried; exit 1; }; exec sleep 1000"
    unit = lab.unit(first_fails, backoff="fixed:700:700:1", service="ExecStartPost=/bin/sleep 0.3")
    door = gate(lab, unit)
    door.systemctl("start", door.name)
    assert door.state() == "active/exited"
    assert len(unit.ups()) == 2


def test_the_gate_stays_shut_when_one_is_given_up(lab: Lab) -> None:
    slow = "ExecStartPost=/bin/sleep 0.3"  # so that it is not active before it crashes
    good, bad = lab.unit(STAYS), lab.unit(CRASHES, budget="2:60000", backoff="fixed:300:300:1", service=slow)
    door = gate(lab, good, bad)
    door.systemctl("start", door.name, check=False)
    bad.wait_for("failed/failed")
    door.wait_for("failed/failed")
    assert f"{bad.name} is failed" in [text for _, text in door.journal()]
    assert len(bad.ups()) == 3


def test_the_gate_stays_shut_when_one_has_ended(lab: Lab) -> None:
    unit = lab.unit("exit 0")
    door = gate(lab, unit)
    door.systemctl("start", door.name, check=False)
    assert f"{unit.name} is inactive" in [text for _, text in door.journal()]


def test_the_gate_takes_a_reload_for_active_and_a_waiting_job_for_a_start(lab: Lab) -> None:
    unit = lab.unit(STAYS, service="ExecReload=/bin/sleep 5")
    slow = lab.custom("[Service]\nType=oneshot\nExecStart=/bin/sleep 1.5\n")
    lab.machine.write(f"/run/systemd/system/{unit.name}.d/after.conf", f"[Unit]\nAfter={slow.name}\n")
    unit.systemctl("daemon-reload")
    unit.systemctl("start", "--no-block", slow.name, unit.name)
    assert unit.state() == "inactive/dead"
    helper = str(lab.machine.code / "omnitron/supervision/helpers/health_gate.sh")
    lab.machine.run("sh", helper, unit.name)
    assert unit.state() == "active/running"
    unit.systemctl("reload", "--no-block", unit.name)
    unit.wait_for("reloading/reload")
    quickly(lambda: lab.machine.run("sh", helper, unit.name))
