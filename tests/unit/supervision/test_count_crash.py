import errno
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omnitron.supervision.helpers import count_crash
from omnitron.supervision.helpers.count_crash import main
from omnitron.supervision.state import pending_start, run_notes, trusted_files
from omnitron.supervision.state.crash_record import read

Fake = Callable[[str], Path]
Says = Callable[..., Path]
UNIT = "omnitron-dev-api.service"
FOLDER = Path(count_crash.__file__).parent


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(count_crash, "UNRECORDED_PAUSE_S", 0.0)
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(count_crash, "PROPERTIES_INPUT", nothing.fileno())
        yield str(tmp_path / "omnitron" / "dev.crashes")


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets what systemd says of the end: `exit-code exited 1`."""

    def set_environment(words: str) -> None:
        for name, value in zip(("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"), words.split(), strict=True):
            monkeypatch.setenv(name, value)

    set_environment("exit-code exited 1")
    return set_environment


def arguments(record: str, budget: str = "5:60000", backoff: str = "exponential:1000:30000:2") -> list[str]:
    return [UNIT, "--record", record, "--budget", budget, "--backoff", backoff]


@pytest.fixture
def says(systemctl: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Says]:
    """Sets what systemd says: when the process ended, and the job that is pending. Returns what it is asked then."""

    def set_answers(exited: float, job: str = "", kind: str = "start") -> Path:
        given.write(f"Job={job}\nExecMainExitTimestampMonotonic={exited * 1e6:.0f}\n")
        given.seek(0)
        monkeypatch.setattr(count_crash, "PROPERTIES_INPUT", given.fileno())
        listed = f'[{{"unit":"{UNIT}","sub":"stop-post","job":"{kind}","description":""}}]'
        return systemctl(f"echo '{listed}'")

    with (tmp_path / "given").open("w+") as given:
        yield set_answers


@pytest.mark.usefixtures("ended")
def test_a_crash_is_counted_from_the_moment_the_process_ended(
    record: str, says: Says, capsys: pytest.CaptureFixture[str]
) -> None:
    exited = time.monotonic() - 0.25
    says(exited)
    assert main(arguments(record)) == 0
    found = read(record)
    assert found.crashes[0].at == pytest.approx(exited, abs=1e-5)
    assert pending_start.read(record, UNIT).at == pytest.approx(exited + 1, abs=1e-5)
    assert found.units[UNIT].next == pytest.approx(exited + 1, abs=1e-5)
    assert capsys.readouterr().err == "<4>crashed (exit code 1); next start in 1 s\n"


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize(("noted", "is_told"), [("b1", True), ("a0", False)])
def test_the_watcher_may_tell_it_while_the_helper_starts(
    record: str, says: Says, monkeypatch: pytest.MonkeyPatch, noted: str, is_told: bool
) -> None:
    monkeypatch.setenv("INVOCATION_ID", "b1")
    now = time.monotonic()
    says(now - 5)
    run_notes.crashed(str(Path(record).parent), UNIT, noted, int((now - 9) * 1e6))
    main(arguments(record))
    found = read(record)
    assert found.crashes[0].at == pytest.approx(now - 9 if is_told else now - 5, abs=1e-5)
    assert found.units[UNIT].last_exit.run == "b1"


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize("exited", [0, 1e12])
def test_a_process_that_never_ran_crashed_now(record: str, says: Says, exited: float) -> None:
    says(exited)
    before = time.monotonic()
    main(arguments(record))
    assert before <= read(record).crashes[0].at <= time.monotonic()


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize("kind", ["stop", "restart"])
def test_a_failure_while_an_operator_stops_it_is_no_crash(record: str, says: Says, kind: str) -> None:
    says(1, job="77", kind=kind)
    assert main(arguments(record)) == 0
    assert not Path(record).exists()


@pytest.mark.usefixtures("ended")
def test_a_failure_during_its_start_is_one(record: str, says: Says) -> None:
    says(1, job="77", kind="start")
    main(arguments(record))
    assert len(read(record).crashes) == 1


@pytest.mark.parametrize(
    ("words", "status"),
    [("exit-code exited 1", 0), ("signal killed KILL", 0), ("success killed TERM", 1), ("success exited 0", 1)],
)
def test_the_final_crash_stops_the_unit_as_failed(
    record: str, says: Says, ended: Callable[[str], None], words: str, status: int
) -> None:
    ended(words)
    calls = says(time.monotonic())
    assert main(arguments(record, budget="0:60000")) == status
    assert calls.read_text().splitlines()[-1] == f"stop --no-block -- {UNIT}"
    found = read(record)
    assert found.crashes == []
    assert found.units[UNIT].final
    # So that the next start takes note.
    assert Path(record).with_name(f"{UNIT}.due").exists()


@pytest.mark.usefixtures("ended")
def test_no_answer_from_systemd(record: str) -> None:
    assert main(arguments(record)) == 0
    assert len(read(record).crashes) == 1


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize("final", [False, True])
def test_no_space(
    record: str,
    says: Says,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    final: bool,
) -> None:
    calls = says(time.monotonic())
    monkeypatch.setattr(trusted_files, "replace_file", full)
    assert main(arguments(record, budget="0:60000" if final else "5:60000")) == 0
    assert capsys.readouterr().err.splitlines()[0] == (
        "<3>cannot record this crash: [Errno 28] No space left on device"
    )
    assert ("stop" in calls.read_text()) == final


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize("broken", [[], ["--record"], [UNIT], arguments("relative.crashes"), arguments("/x", "five")])
def test_nothing_keeps_the_unit_down(record: str, capsys: pytest.CaptureFixture[str], broken: list[str]) -> None:
    assert main(broken) == 0
    assert re.match("<3>cannot record this crash: .+\n", capsys.readouterr().err)


@pytest.mark.usefixtures("ended")
def test_a_short_wait_is_over_at_the_end(record: str, says: Says) -> None:
    says(time.monotonic())
    main(arguments(record, backoff="fixed:100:100:1"))
    assert time.monotonic() >= read(record).crashes[0].at + 0.1
    assert not Path(record).with_name(f"{UNIT}.due").exists()


@pytest.mark.usefixtures("ended")
def test_runs_as_systemd_runs_it(record: str, tmp_path: Path) -> None:
    """Isolated, without site-packages, from another folder."""
    argv = [sys.executable, "-I", "-S", str(FOLDER / "run.py"), "count_crash", *arguments(record)]
    done = subprocess.run(argv, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert done.stderr == "<4>crashed (exit code 1); next start in 1 s\n"
    assert len(read(record).crashes) == 1


@pytest.mark.usefixtures("ended")
def test_imports_nothing_that_takes_long(record: str) -> None:
    argv = [sys.executable, "-I", "-S", "-X", "importtime", str(FOLDER / "run.py"), "count_crash", *arguments(record)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "supervision.state.crash_record" in imported
    slow = {
        "typing",
        "dataclasses",
        "contextlib",
        "functools",
        "json",
        "re",
        "enum",
        "inspect",
        "pathlib",
        "subprocess",
    }
    assert not imported & {*slow, "argparse", "socket"}


# The shell guard.


def guard(record: str, words: str, *flags: str) -> bool:
    """Whether `count_crash.sh` hands over to Python."""
    names = ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS")
    environment = dict(zip(names, [*words.split(), "", ""], strict=False))
    argv = ["/bin/sh", str(FOLDER / "count_crash.sh"), "/bin/echo", *arguments(record), *flags]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    expected = ["-I", "-S", str(FOLDER / "run.py"), "count_crash", *arguments(record), *flags]
    assert done.stdout in ("", " ".join(expected) + "\n")
    return bool(done.stdout)


@pytest.mark.parametrize(
    ("words", "flags", "python"),
    [
        ("success exited 0", [], False),
        ("success", [], False),
        ("exec-condition exited 1", [], False),
        ("exec-condition exited 1", ["--restart", "always"], False),
        ("exit-code exited 1", [], True),
        ("exit-code exited 1", ["--restart", "always"], True),
        ("exit-code", [], True),
        ("signal killed KILL", [], True),
        ("core-dump dumped SEGV", [], True),
        ("timeout killed TERM", [], True),
        ("watchdog dumped ABRT", [], True),
        ("oom-kill killed KILL", [], True),
        ("protocol exited 0", [], True),
    ],
)
def test_the_guard(record: str, words: str, flags: list[str], python: bool) -> None:
    assert guard(record, words, *flags) == python


def test_the_guard_without_an_interpreter_lets_the_unit_restart(record: str) -> None:
    argv = ["/bin/sh", str(FOLDER / "count_crash.sh"), "/nonexistent/python", *arguments(record)]
    done = subprocess.run(argv, env={"SERVICE_RESULT": "signal"}, capture_output=True, text=True, check=True)
    assert done.stderr == f"cannot count a crash of {UNIT}: no /nonexistent/python\n"


NO_FORKS = ["setpriv", "--reuid=65534", "--clear-groups", "prlimit", "--nproc=0"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that may not fork")
@pytest.mark.parametrize(("file", "name"), [("count_crash.sh", "--budget"), ("start_delay.sh", "--window")])
def test_the_guards_do_not_fork(file: str, name: str) -> None:
    script = (FOLDER / file).read_text()
    argv = ["/bin/sh", "-c", script, f"/x/{file}", "/usr/bin/python3", UNIT, "--record", "/run/x.crashes", name, "5"]
    environment = {"SERVICE_RESULT": "success", "EXIT_CODE": "exited", "EXIT_STATUS": "0", "PATH": "/usr/bin:/bin"}
    subprocess.run([*NO_FORKS, *argv], env=environment, check=True)
    fails = subprocess.run([*NO_FORKS, "/bin/sh", "-c", "/bin/true; :"], capture_output=True, check=False)
    assert fails.returncode != 0, "the limit does not work"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that may not fork")
@pytest.mark.parametrize(("shell", "uid"), [("dash", 64123), ("bash", 64124)])
def test_two_tasks_are_enough_to_count_a_crash(shell: str, uid: int) -> None:
    """The least that `limits.tasksMax` may be: the interpreter, and a systemctl."""
    two_tasks = ["setpriv", f"--reuid={uid}", "--clear-groups", "prlimit", "--nproc=2"]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chown(folder, uid, uid)
        argv = [shell, str(FOLDER / "count_crash.sh"), "/usr/bin/python3", *arguments(f"{folder}/dev.crashes")]
        environment = {
            "SERVICE_RESULT": "signal",
            "EXIT_CODE": "killed",
            "EXIT_STATUS": "KILL",
            "PATH": "/usr/bin:/bin",
        }
        done = subprocess.run([*two_tasks, *argv], env=environment, capture_output=True, text=True, check=True)
        assert done.stderr == "<4>crashed (signal KILL); next start in 1 s\n"
        assert (Path(folder) / "dev.crashes").exists()


NOTED_AND_RUN = pytest.mark.parametrize(
    ("noted", "run", "asks"),
    [("b1", "b1", False), ("a0", "b1", True), (None, "b1", True), ("", "", True), ("b1", "", True)],
)


@pytest.fixture
def reachable() -> Iterator[str]:
    """A folder that other users can reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield folder


def without_forks(folder: str, python: str, words: str) -> subprocess.CompletedProcess[str]:
    """Run the guard where it cannot ask systemd: for that it forks. `words` are as systemd tells of the end."""
    script = (FOLDER / "count_crash.sh").read_text()
    environment = dict(zip(count_crash.EXIT_VARIABLES, words.split(), strict=False))
    argv = ["/bin/sh", "-c", script, "/x/count_crash.sh", python, *arguments(f"{folder}/dev.crashes")]
    return subprocess.run([*NO_FORKS, *argv], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that may not fork")
@NOTED_AND_RUN
def test_the_guard_knows_the_crashes_that_the_watcher_has_seen(
    reachable: str, noted: str | None, run: str, asks: bool
) -> None:
    """It hands the watcher's note on in the place of what systemd would answer."""
    python = Path(reachable, "python")
    python.write_text("#!/bin/sh\nwhile read -r line; do echo $line; done\n")
    python.chmod(0o755)
    if noted is not None:
        run_notes.crashed(reachable, UNIT, noted, 812_250_000)
    done = without_forks(reachable, str(python), f"signal killed KILL {run}")
    assert ("fork" in done.stderr.lower()) == asks, done.stderr
    assert asks or done.stdout == f"{run}\nJob=\nExecMainExitTimestampMonotonic=812250000\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that may not fork")
@NOTED_AND_RUN
def test_the_guard_knows_the_stops_of_the_watcher(reachable: str, noted: str | None, run: str, asks: bool) -> None:
    """About every other run than the one that was noted it asks systemd."""
    if noted is not None:
        run_notes.stopped(reachable, UNIT, noted)
    done = without_forks(reachable, "/bin/false", f"success killed TERM {run}")
    assert ("fork" in done.stderr.lower()) == asks, done.stderr
    assert asks or done.returncode == 0
