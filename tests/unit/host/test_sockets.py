from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from omnitron.host.transports import sockets

# Run in a process of its own: the numbers of descriptors are fixed.
TAKE = """
import os, sys
from omnitron.host.transports.sockets import inherited
os.environ["LISTEN_PID"] = os.environ.get("PRETEND") or str(os.getpid())
found = inherited()
print({name: [(s.fileno(), s.family.name, s.proto, s.get_inheritable()) for s in held] for name, held in found.items()})
print(sorted(name for name in os.environ if name.startswith("LISTEN_")))
"""


def taken(held: list[socket.socket], **environment: str) -> list[str]:
    """What a process finds to which systemd passes these sockets."""
    # The shell puts them where systemd does, by way of numbers that are neither source nor target.
    away = " ".join(f"{100 + number}<&{one.fileno()}" for number, one in enumerate(held))
    move = " ".join(f"{3 + number}<&{100 + number}" for number in range(len(held)))
    result = subprocess.run(
        ["bash", "-c", f'exec {away}; exec {move}; exec "$@"', "bash", sys.executable, "-c", TAKE],
        pass_fds=[one.fileno() for one in held],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.splitlines()


def test_sockets_are_taken_over_by_name(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, sockets.listen_unix(tmp_path / "s") as unix:
        found, left = taken([tcp, unix, tcp], LISTEN_FDS="3", LISTEN_FDNAMES="http:rpc:http")
    # A TCP socket knows its protocol, unlike one that Python has made.
    assert found == "{'http': [(3, 'AF_INET', 6, False), (5, 'AF_INET', 6, False)], 'rpc': [(4, 'AF_UNIX', 0, False)]}"
    assert left == "[]"


def test_sockets_without_names(tmp_path: Path) -> None:
    with sockets.listen_unix(tmp_path / "s") as unix:
        found, _ = taken([unix, unix], LISTEN_FDS="2")
        assert found == "{'unknown': [(3, 'AF_UNIX', 0, False), (4, 'AF_UNIX', 0, False)]}"
        found, _ = taken([unix, unix], LISTEN_FDS="2", LISTEN_FDNAMES="rpc")
        assert found == "{'rpc': [(3, 'AF_UNIX', 0, False)], 'unknown': [(4, 'AF_UNIX', 0, False)]}"


def test_sockets_of_another_process_are_left_alone(tmp_path: Path) -> None:
    with sockets.listen_unix(tmp_path / "s") as unix:
        found, left = taken([unix], LISTEN_FDS="1", LISTEN_FDNAMES="rpc", PRETEND="1")
    assert found == "{}"
    assert left == "['LISTEN_FDNAMES', 'LISTEN_FDS']"


def test_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        monkeypatch.delenv(name, raising=False)
    assert sockets.inherited() == {}
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    assert sockets.inherited() == {}


def test_a_unix_socket_is_its_owners_and_replaces_what_was_left(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    umask = os.umask(0o022)
    try:
        for _ in range(2):
            with sockets.listen_unix(path) as listening, socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                assert not listening.getblocking()
                assert not listening.get_inheritable()
                mode = path.stat().st_mode
                assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o700
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(umask)


def test_a_unix_socket_that_cannot_be(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        with pytest.raises(FileNotFoundError):
            sockets.listen_unix(tmp_path / "no" / "such" / "folder")
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(umask)


ADDRESSES = [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("0.0.0.0", "0.0.0.0")]
if Path("/proc/net/if_inet6").exists():
    ADDRESSES += [("::1", "::1"), ("[::1]", "::1")]


@pytest.mark.parametrize(("host", "name"), ADDRESSES)
def test_a_tcp_socket(host: str, name: str) -> None:
    with sockets.listen_tcp(host, 0) as listening:
        assert listening.getsockname()[0] == name
        # A restart may take the port at once.
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
