"""The command line that runs a command inside a machine."""

from __future__ import annotations

import os
from pathlib import Path

from omnitron.sandbox.enter import ROOT, Account, command_line

GROUP = Path("/sys/fs/cgroup/m/cgroup.procs")


def test_an_account_of_passwd() -> None:
    assert Account.parse("root:x:0:0:root:/root:/bin/bash\n") == ROOT
    assert Account.parse("alice:x:1000:100:A, B:/home/alice:/bin/sh\n") == Account("alice", 1000, 100, "/home/alice")


def test_the_command_is_the_end_of_it_whatever_it_holds() -> None:
    argv = ["echo", "a b", "$HOME", "--help"]
    line = command_line(os.getpid(), GROUP, argv, env={"A": "x y"}, cwd=Path("/srv/ü x"))
    assert line[-4:] == argv
    assert {"--chdir=/srv/ü x", "A=x y", "HOME=/root", "USER=root", str(GROUP)} <= set(line)
    assert "/usr/bin/setpriv" not in line


def test_another_user_has_its_own_groups_and_home() -> None:
    line = command_line(os.getpid(), GROUP, ["id"], account=Account("alice", 4321, 100, "/home/alice"))
    assert {"--reuid=4321", "--regid=100", "--init-groups", "HOME=/home/alice"} <= set(line)
    assert line.index("/usr/bin/setpriv") < line.index("/usr/bin/env")
