"""Programs of several kinds live under `hardening: strict`, and are shut in by it."""

from __future__ import annotations

import json

import pytest

from tests.support.machines import Machine
from tests.support.projects import Make

NODE = """\
const http = require("http"), os = require("os"), fs = require("fs");
function hot(n) { let x = 0; for (let i = 0; i < n; i++) x = (x * 31 + i) | 0; return x; }
hot(5e7);  // long enough for the optimising compiler
os.cpus(); os.networkInterfaces(); fs.readFileSync("/proc/meminfo");
http.createServer((q, s) => s.end("node")).listen(8941, "127.0.0.1");
"""

PYTHON = """\
import ctypes, http.server, multiprocessing, sqlite3, ssl, tempfile, threading
tempfile.TemporaryFile().write(b"x")
sqlite3.connect(":memory:").execute("select 1")
http.server.HTTPServer(("127.0.0.1", 8942), http.server.SimpleHTTPRequestHandler).serve_forever()
"""

# What the code caches of a JVM and other JITs do: map writable memory, fill it, make it executable, run it.
JIT = """\
import ctypes, http.server, mmap, platform
returns_42 = {"x86_64": "b82a000000c3", "aarch64": "40058052c0035fd6"}
code = bytes.fromhex(returns_42[platform.machine()])
area = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
area.write(code)
libc = ctypes.CDLL(None, use_errno=True)
address = ctypes.addressof(ctypes.c_char.from_buffer(area))
assert libc.mprotect(ctypes.c_void_p(address), 4096, mmap.PROT_READ | mmap.PROT_EXEC) == 0
assert ctypes.CFUNCTYPE(ctypes.c_int)(address)() == 42
http.server.HTTPServer(("127.0.0.1", 8943), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_node_python_and_a_jit_run_under_strict(machine: Machine, make: Make) -> None:
    project = make([])
    apps = []
    for name, text, port in (("node.js", NODE, 8941), ("python.py", PYTHON, 8942), ("jit.py", JIT, 8943)):
        probe = {"type": "http", "target": f"http://127.0.0.1:{port}/"}
        apps.append({"name": name.split(".")[0], "script": project.write(name, text), "health": {"probe": probe}})
    project.define(apps)
    project.omnitron("up", "--timeout", "60")
    assert {app["status"] for app in project.status().values()} == {"online"}
    for app in ("node", "python", "jit"):
        assert machine.show(project.unit(app), "NRestarts") == "0"


@pytest.mark.parametrize("user", ["www-data", "root"])
def test_exposure_of_a_strict_service(machine: Machine, make: Make, user: str) -> None:
    probe = {"probe": {"type": "http", "target": "http://127.0.0.1:8944/"}}
    project = make([{"name": "app", "command": ["sleep", "9"], "user": user, "health": probe}])
    project.omnitron("generate")
    unit = f"/etc/systemd/system/{project.unit('app')}"
    machine.run("systemd-analyze", "security", "--offline=true", "--threshold=22", unit)


WRITER = """\
import json, os, sys
result = {}
for path in sys.argv[2:]:
    try:
        with open(os.path.join(path, "x"), "w") as file:
            file.write("x")
        result[path] = True
    except OSError:
        result[path] = False
result["home"] = os.path.exists("/home/secret")
with open(sys.argv[1], "w") as file:
    json.dump(result, file)
os.execvp("sleep", ["sleep", "1000"])
"""


def test_only_declared_paths_can_be_written(machine: Machine, make: Make) -> None:
    machine.run("install", "-d", "-m", "777", "/srv/declared", "/srv/not-declared")
    machine.write("/home/secret", "x")
    project = make([])
    script = project.write("writer.py", WRITER)
    state = f"/var/lib/{project.prefix}/dev/app"
    cache = f"/var/cache/{project.prefix}/dev/app"
    paths = [state, cache, "/srv/declared", "/srv/not-declared", "/etc", "/var/lib", project.folder]
    project.define(
        [
            {
                "name": "app",
                "command": ["/usr/bin/python3", script, f"{state}/result", *paths],
                "paths": {"state": True, "cache": True, "write": ["/srv/declared"]},
            }
        ]
    )
    project.omnitron("up")
    machine.wait(lambda: machine.run("test", "-s", f"{state}/result", check=False).returncode == 0, 5, "it has written")
    result = json.loads(machine.read(f"{state}/result"))
    assert {path for path in paths if result[path]} == {state, cache, "/srv/declared"}
    assert result["home"] is False


def test_project_in_a_home_and_in_tmp(machine: Machine, make: Make) -> None:
    """Both are hidden from a strict service; its own project is bound in, read-only."""
    for folder in ("/home/someone/project", "/tmp/someone-project"):
        project = make([])
        project.folder = folder
        project.define([{"name": "app", "script": "app.sh"}])
        project.write("app.sh", "#!/bin/sh\ntouch here && exit 1\nexec sleep 1000\n", 0o755)
        project.omnitron("up")
        assert project.state("app") == "active", folder


def test_limits_reach_the_unit(machine: Machine, make: Make) -> None:
    limits = {"memoryMax": "64mb", "memoryHigh": "32mb", "cpuQuota": "50%", "cpuWeight": 50, "tasksMax": 20}
    project = make([{"name": "app", "command": ["sleep", "99"], "limits": {**limits, "ioWeight": 30}}])
    project.omnitron("generate")
    properties = {
        "MemoryMax": str(64 << 20),
        "MemoryHigh": str(32 << 20),
        "CPUQuotaPerSecUSec": "500ms",
        "CPUWeight": "50",
        "TasksMax": "20",
        "IOWeight": "30",
    }
    assert {name: machine.show(project.unit("app"), name) for name in properties} == properties


def test_processes_of_a_dynamic_user_share_a_directory(machine: Machine, make: Make) -> None:
    project = make([])
    command = ["sh", "-c", "touch $STATE_DIRECTORY/$0 && exec sleep 1000"]
    processes = [{"name": name, "command": [*command, name], "paths": {"state": True}} for name in ("one", "two")]
    project.write("bootstrap.json", json.dumps({"name": "app", "processes": processes}))
    project.define([{"name": "app", "bootstrap": "bootstrap.json", "user": "dynamic"}])
    project.omnitron("up")
    project.omnitron("restart", "app")
    state = f"/var/lib/{project.prefix}/dev/app/"
    assert machine.run("ls", state).stdout.split() == ["one", "two"]
    owners = machine.run("sh", "-c", f"stat -c %U {state}*").stdout.split()
    assert len(set(owners)) == 1 and owners[0] not in ("root", "nobody")
