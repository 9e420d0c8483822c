from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from omnitron.cli.verbs.sandbox import app
from omnitron.errors import NotPermittedError, OmnitronError, UsageError
from omnitron.sandbox import Bind, Sandbox, debian_root
from omnitron.sandbox.boot import BootError
from omnitron.sandbox.state import Process
from tests.support.checkout import CHECKOUT
from tests.support.machines import Machine

VERSIONS = {"debian12": 252, "debian13": 257}


@pytest.fixture(params=[None, "trixie"], ids=["252", "257"])
def sandbox(request: pytest.FixtureRequest, machine_name: str) -> Iterator[Sandbox]:
    """A machine for one test, not booted yet."""
    one = Sandbox(machine_name, debian_root(request.param) if request.param else None)
    yield one
    one.down()


@pytest.fixture
def host_sandbox(machine_name: str) -> Iterator[Sandbox]:
    one = Sandbox(machine_name)
    yield one
    one.down()


@pytest.fixture
def machine_name() -> str:
    return f"omnitron-test-own-{os.getpid()}"


def traces(name: str) -> list[str]:
    """Everything on the host that names a machine; a zombie has a deleted group."""
    found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    for top in ("/run", "/sys/fs/cgroup"):
        search = subprocess.run(["find", top, "-name", f"*{name}*"], capture_output=True, text=True, check=False)
        found += search.stdout.splitlines()
    for cgroup in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            lines = cgroup.read_text().splitlines()
            found += [line for line in lines if name in line and not line.endswith("(deleted)")]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


# The machines of the session.


def test_boots_the_systemd_of_its_root(machine: Machine, request: pytest.FixtureRequest) -> None:
    status = machine.sandbox.status()
    assert status.running
    assert status.since is not None
    assert status.since > 0
    assert f"systemd {status.systemd} " in machine.run("systemctl", "--version").stdout
    if "257" in request.node.name:
        assert status.systemd == 257


def test_is_idle_and_healthy(machine: Machine) -> None:
    # Other tests may have left units of their own failed; what came with the machine must be well.
    failed = machine.systemctl("list-units", "--failed", "--no-legend", "--plain").split("\n")
    own = [line.split()[0] for line in failed if line]
    assert [unit for unit in own if machine.show(unit, "FragmentPath").startswith(("/usr/lib", "/lib"))] == []
    assert machine.systemctl("list-jobs", "--no-legend") == ""
    timers = machine.systemctl("list-units", "--type=timer", "--no-legend", "--plain").splitlines()
    assert [timer.split()[0] for timer in timers] == ["systemd-tmpfiles-clean.timer"]


def test_nothing_that_is_enabled_on_the_host_starts(debian12: Machine) -> None:
    enabled = debian12.run("find", "/etc/systemd/system", "-path", "*.wants/*").stdout
    assert enabled == ""


def test_private_network_has_only_loopback(machine: Machine) -> None:
    assert machine.run("readlink", "/proc/self/ns/net").stdout.strip() != str(Path("/proc/self/ns/net").readlink())
    # Other tests may have made bridges there.
    links = json.loads(machine.run("ip", "-json", "-details", "link").stdout)
    made_here = {link["ifname"] for link in links if link.get("linkinfo", {}).get("info_kind") in ("bridge", "veth")}
    assert {link["ifname"] for link in links} - made_here == {"lo"}
    assert not machine.run("ip", "route", "show", "default").stdout


def test_omnitron_is_importable(machine: Machine) -> None:
    where = "import omnitron.errors; print(omnitron.errors.__file__)"
    assert machine.run(*machine.python, "-c", where).stdout.strip() == f"{machine.code}/omnitron/errors.py"


def test_checkout_is_read_only_in_debian(debian13: Machine) -> None:
    assert debian13.run("touch", f"{debian13.code}/README.md", check=False).returncode == 1


def test_exit_status_is_the_commands(machine: Machine) -> None:
    assert machine.run("sh", "-c", "exit 7", check=False).returncode == 7
    assert machine.run("sh", "-c", "kill -TERM $$", check=False).returncode == -signal.SIGTERM
    assert machine.run("no-such-program", check=False).returncode == 127


def test_streams_are_the_commands(machine: Machine) -> None:
    done = machine.run("sh", "-c", "cat; echo oops >&2", input="Grüße\n")
    assert (done.stdout, done.stderr) == ("Grüße\n", "oops\n")


def test_environment_is_clean(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_THE_HOST", "1")
    done = machine.sandbox.exec(["env"], env={"GREETING": "a b"}, cwd=Path("/usr"), capture=True)
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert set(variables) - {"PWD"} == {"GREETING", "HOME", "LANG", "PATH", "TERM", "USER"}
    assert variables["GREETING"] == "a b"
    assert variables["HOME"] == "/root"
    assert machine.run("pwd", cwd="/usr").stdout == "/usr\n"


def test_timeout_kills_the_command(machine: Machine) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        machine.run("sh", "-c", "sleep 4321; true", timeout=0.2)
    machine.wait(lambda: machine.run("pgrep", "-f", "[s]leep 4321", check=False).returncode, 2, "it is gone")


def test_entered_process_has_a_place_in_the_machine(machine: Machine) -> None:
    groups = machine.run("cat", "/proc/self/cgroup").stdout.splitlines()
    assert groups[-1] == "0::/enter"
    # With a process of the host in it, this says "Failed to dump process list".
    assert "Failed" not in machine.run("systemctl", "status", "--no-pager").stderr


def test_user_manager(machine: Machine) -> None:
    machine.sandbox.user_manager("alice")
    machine.sandbox.user_manager("alice")
    # Degraded, where another test has left a unit of alice's failed.
    state = machine.run("systemctl", "--user", "is-system-running", user="alice", check=False).stdout
    assert state in ("running\n", "degraded\n")
    machine.run("systemd-run", "--user", "--wait", "--quiet", "true", user="alice")
    assert machine.run("id", "-un", user="alice").stdout == "alice\n"
    bus = machine.run("sh", "-c", 'echo "$DBUS_SESSION_BUS_ADDRESS"', user="alice").stdout.strip()
    assert bus.startswith("unix:path=/run/user/")
    machine.run("busctl", "--user", "status", "org.freedesktop.systemd1", user="alice")


def test_unknown_user(machine: Machine) -> None:
    with pytest.raises(UsageError, match=r"cannot run as 'mallory': machine .* has no such account"):
        machine.run("true", user="mallory")


# What the other tests stand on.


def test_write_and_read(machine: Machine) -> None:
    machine.write("/var/lib/there/not/yet.txt", "$1 % \"'\n", mode=0o600, owner="nobody")
    assert machine.read("/var/lib/there/not/yet.txt") == "$1 % \"'\n"
    stat = machine.run("stat", "--format=%a %U", "/var/lib/there/not/yet.txt").stdout
    assert stat == "600 nobody\n"


def test_wait_for_unit(machine: Machine) -> None:
    unit = "/run/systemd/system/{}.service"
    machine.write(unit.format("wait-slow"), "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=sleep 0.5\n")
    machine.write(unit.format("wait-bad"), "[Service]\nType=oneshot\nExecStart=false\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "--no-block", "wait-slow.service")
    machine.wait_for_unit("wait-slow.service")
    assert machine.show("wait-slow.service", "ActiveState") == "active"

    machine.systemctl("start", "--no-block", "wait-bad.service")
    started = time.monotonic()
    with pytest.raises(AssertionError, match=r"wait-bad\.service will not become active"):
        machine.wait_for_unit("wait-bad.service", timeout=30)
    with pytest.raises(AssertionError, match=r"no-such\.service will not become active"):
        machine.wait_for_unit("no-such.service", timeout=30)
    assert time.monotonic() - started < 20
    machine.systemctl("reset-failed")


def test_journal(machine: Machine) -> None:
    machine.run("systemd-run", "--wait", "--quiet", "--unit=says", "echo", "hello")
    assert "hello" in [entry["MESSAGE"] for entry in machine.journal("says.service")]


def test_wait_says_what_did_not_happen(machine: Machine) -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.1 s: the moon is up"):
        machine.wait(lambda: False, 0.1, "the moon is up")


# A machine's life.


def test_up_twice_is_up_once(sandbox: Sandbox) -> None:
    sandbox.up(private_network=True)
    before = sandbox.status()
    sandbox.up(private_network=True)
    assert sandbox.status().leader == before.leader
    with pytest.raises(OmnitronError, match="it is up already, with other options"):
        sandbox.up(private_network=False)


def test_down_leaves_nothing(sandbox: Sandbox) -> None:
    sandbox.up(private_network=True)
    assert traces(sandbox.name)
    sandbox.user_manager("alice")
    sandbox.exec(["sh", "-c", "sleep 1000 & touch /etc/written"])
    sandbox.down()
    assert traces(sandbox.name) == []
    assert not sandbox.status().running
    sandbox.down()
    assert not Path("/etc/written").exists()
    assert not (sandbox.root or Path("/nonexistent")).joinpath("etc/written").exists()


def test_up_after_nspawn_was_killed(sandbox: Sandbox) -> None:
    sandbox.up(private_network=True)
    first = sandbox.status().leader
    assert first
    process = Process.read(first)
    assert process
    os.kill(process.parent, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while sandbox.status().running:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(OmnitronError, match="it is not up"):
        sandbox.exec(["true"])
    sandbox.up(private_network=True)
    assert sandbox.status().leader != first
    assert Process.read(first) is None
    assert sandbox.exec(["true"]).returncode == 0


def test_down_of_a_machine_that_hangs(host_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnitron.sandbox.machine.STOP_TIMEOUT", 0.5)
    host_sandbox.up(private_network=True)
    leader = host_sandbox.status().leader
    assert leader
    os.kill(leader, signal.SIGSTOP)
    host_sandbox.down()
    assert traces(host_sandbox.name) == []


def test_two_at_once_boot_one(machine_name: str, host_sandbox: Sandbox) -> None:
    code = f"from omnitron.sandbox import Sandbox; s = Sandbox({machine_name!r}); s.up(); print(s.status().leader)"
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) for _ in range(2)]
    leaders = {process.communicate(timeout=60)[0] for process in both}
    assert leaders == {f"{host_sandbox.status().leader}\n"}


def test_a_recycled_pid_is_not_trusted(host_sandbox: Sandbox) -> None:
    host_sandbox.up(private_network=True)
    record = Path("/run/omnitron-sandbox", host_sandbox.name, "machine.json")
    data = json.loads(record.read_text())
    data["leader"]["start"] += 1
    record.write_text(json.dumps(data))
    assert not host_sandbox.status().running


@pytest.mark.parametrize("record", ["", "[]", '{"leader": {"pid": 1}}'])
def test_a_record_of_another_version_is_cleared_away(host_sandbox: Sandbox, record: str) -> None:
    host_sandbox.up(private_network=True)
    Path("/run/omnitron-sandbox", host_sandbox.name, "machine.json").write_text(record)
    assert not host_sandbox.status().running
    host_sandbox.down()
    assert traces(host_sandbox.name) == []


def test_binds_are_shared_with_the_host(sandbox: Sandbox, tmp_path: Path) -> None:
    awkward = tmp_path / "a: b"
    awkward.mkdir()
    sandbox.up([awkward, Bind(tmp_path, Path("/mnt/seen"), read_only=True)], private_network=True)
    assert sandbox.exec(["touch", f"{awkward}/from-inside"]).returncode == 0
    assert (awkward / "from-inside").exists()
    assert sandbox.exec(["touch", "/mnt/seen/no"], capture=True).returncode == 1


def test_state_is_for_root_alone(host_sandbox: Sandbox) -> None:
    host_sandbox.up(private_network=True)
    assert Path("/run/omnitron-sandbox").stat().st_mode & 0o777 == 0o700


def test_status_for_programs() -> None:
    done = CliRunner().invoke(app, ["status", "--json"])
    status = json.loads(done.stdout)
    assert done.exit_code == (0 if status["running"] else 1), done.output
    assert set(status) == {"leader", "name", "running", "since", "systemd"}


# What can go wrong.


def test_not_root(host_sandbox: Sandbox) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(NotPermittedError, match="only root can") as caught:
            host_sandbox.up()
    finally:
        os.seteuid(0)
    assert caught.value.hint == "run it with sudo"
    assert traces(host_sandbox.name) == []


def test_nspawn_is_missing(host_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(OmnitronError, match="systemd-nspawn is not installed") as caught:
        host_sandbox.up()
    assert caught.value.hint == "apt-get install systemd-container"


def test_boot_failure_shows_the_console_and_leaves_nothing(host_sandbox: Sandbox) -> None:
    with pytest.raises(BootError, match="its systemd is in state maintenance") as caught:
        host_sandbox.up(unit="rescue.target", private_network=True)
    assert caught.value.console
    assert traces(host_sandbox.name) == []


def test_the_kernel_refuses(machine_name: str) -> None:
    code = f"""
from omnitron.errors import NotPermittedError
from omnitron.sandbox import Sandbox
try:
    Sandbox({machine_name!r}).up()
except NotPermittedError as error:
    print(*error.lines(), sep="\\n")
"""
    command = ["setpriv", "--bounding-set=-sys_admin", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=True)
    assert "Operation not permitted" in done.stdout
    assert "docker run --privileged" in done.stdout
    assert traces(machine_name) == []


def test_a_root_without_systemd(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no systemd below"):
        Sandbox("omnitron-test-none", tmp_path).up()


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "../a", "a" * 41])
def test_names(name: str) -> None:
    with pytest.raises(UsageError, match="not a host name"):
        Sandbox(name)


# The cache of Debian roots, with a mmdebstrap that takes a moment and writes down how it was called.

MMDEBSTRAP = """#!/bin/sh
for target; do :; done
echo "$@" >>"{calls}"
sleep 0.3
[ ! -e "{calls}.fail" ] || {{ echo "I: trying" >&2; echo "E: no such suite" >&2; exit 1; }}
mkdir "$target"
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a false mmdebstrap, first in PATH, writes its calls to."""
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    log = tmp_path / "calls"
    program.write_text(MMDEBSTRAP.format(calls=log))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return log


def test_debian_root_is_made_once(calls: Path, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from omnitron.sandbox import debian_root
print(debian_root("sid", ["b", "a"], Path({str(tmp_path / "cache")!r})))
"""
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) for _ in range(2)]
    roots = {process.communicate(timeout=60)[0].strip() for process in both}
    assert roots == {str(debian_root("sid", ["a", "b", "a"], tmp_path / "cache"))}
    assert len(calls.read_text().splitlines()) == 1
    assert "--variant=minbase --include=b,a sid " in calls.read_text()


def test_debian_root_with_other_packages_replaces_the_former(calls: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, other = debian_root("sid", ["a"], cache), debian_root("trixie", ["a"], cache)
    (cache / ".build-killed").mkdir()
    image = cache / f"{first.name}.img"
    image.touch()
    second = debian_root("sid", ["a", "b"], cache)
    assert sorted(cache.iterdir()) == sorted([second, other, image])
    assert first != second


def test_debian_root_that_cannot_be_made(calls: Path, tmp_path: Path) -> None:
    calls.with_name("calls.fail").touch()
    with pytest.raises(OmnitronError, match="cannot make a Debian sid: no such suite"):
        debian_root("sid", ["a"], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_mmdebstrap_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(OmnitronError, match="mmdebstrap is not installed") as caught:
        debian_root("sid", ["a"], tmp_path)
    assert caught.value.hint == "apt-get install mmdebstrap"
