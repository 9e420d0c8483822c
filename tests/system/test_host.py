"""Processes with a module, run by the process host under a real systemd."""

from __future__ import annotations

import json
import time

from tests.support.hosted import HOOKS, PORT, call, hosted, rpc
from tests.support.machines import Machine
from tests.support.projects import Make


def test_services_routes_and_metrics(machine: Machine, make: Make) -> None:
    routes = [{"method": "GET", "pattern": "/hello/{name}", "handler": "modules/api.py:hello"}]
    http = {"http": {"port": PORT, "appVersion": "1.2"}}
    project = hosted(make, {"name": "http", "transports": http, "customRoutes": routes})
    project.omnitron("up")
    unit = project.unit("app", "http")
    assert machine.show(unit, "Type") == "notify"
    assert machine.show(unit, "StatusText") == "healthy"
    assert rpc(machine, "Shop.add", [2, 3]) == (200, {"jsonrpc": "2.0", "id": 1, "result": 5})
    assert rpc(machine, "Shop.add", {"a": "x"})[1]["error"]["code"] == -32602
    assert call(project, "Shop.add", "40", "2") == 42
    assert call(project, "Shop.add", "a=1") == 2
    assert call(project, "Shop.who")["uid"] == int(machine.run("id", "-u", "www-data").stdout)
    got = machine.run("curl", "-si", f"http://127.0.0.1:{PORT}/hello/you").stdout
    assert '{"hello":"you"}' in got and "x-app-version: 1.2" in got
    control = f"/run/{project.prefix}/dev/app-http/control.sock"
    metrics = machine.run("curl", "-s", "--unix-socket", control, "http://x/metrics").stdout
    assert 'omnitron_rpc_calls_total{method="Shop.add",outcome="ok"} 3' in metrics
    assert 'omnitron_http_requests_total{method="GET",route="/hello/{name}",status="200"} 1' in metrics
    failed = project.omnitron("exec", "app", "Shop", "fail", check=False)
    assert failed.returncode == 1 and "internal error" in failed.stderr and "told to" not in failed.stderr
    mark = failed.stderr.split('"errorId": "')[1].split('"')[0]
    machine.wait(lambda: any(mark in entry["MESSAGE"] for entry in machine.journal(unit)), 5, "the log has the rest")
    (entry,) = [entry for entry in machine.journal(unit) if mark in str(entry["MESSAGE"])]
    assert "told to" in entry["EXCEPTION"] and entry["PRIORITY"] == "3"
    assert entry["SYSLOG_IDENTIFIER"] == "app" and entry["OMNITRON_APP"] == "app"


def test_the_hooks_run_in_their_order(machine: Machine, make: Make) -> None:
    machine.run("install", "-d", "-m", "777", "/run/hooks")
    machine.run("rm", "-f", "/run/hooks/order", "/run/hooks/sick")
    moments = ("before_create", "after_create", "before_start", "after_start", "before_stop", "after_stop")
    hooks = {m.split("_")[0] + m.split("_")[1].capitalize(): f"hooks.py:{m}" for m in moments}
    process = {"name": "one", "paths": {"write": ["/run/hooks"]}, "health": {"interval": "500ms", "timeout": "500ms"}}
    project = hosted(make, process, hooks={**hooks, "onHealthCheck": "hooks.py:sick"})
    project.omnitron("up")
    unit = project.unit("app", "one")
    assert machine.show(unit, "StatusText") == "degraded: so so"
    (app,) = json.loads(project.omnitron("health", "--json").stdout)["apps"].values()
    assert app["status"] == "degraded"
    assert app["checks"][0]["message"] == "says that it is degraded: so so"
    assert app["checks"][0]["condition"]["kind"] == "selfReportedDegraded"
    project.omnitron("stop", "app")
    assert machine.show(unit, "Result") == "success"
    order = [line.split()[1] for line in machine.read("/run/hooks/order").splitlines()]
    assert order == ["beforeCreate", "afterCreate", "beforeStart", "afterStart", "beforeStop", "afterStop"]


def test_a_process_that_becomes_unhealthy_is_ended_by_the_watchdog(machine: Machine, make: Make) -> None:
    machine.run("install", "-d", "-m", "777", "/run/hooks")
    machine.run("rm", "-f", "/run/hooks/sick")
    health = {"interval": "300ms", "timeout": "300ms", "retries": 2}
    project = hosted(make, {"name": "one", "health": health, "hooks": {"onHealthCheck": "hooks.py:sick"}})
    project.omnitron("up")
    pid = project.pid("app", "one")
    machine.run("touch", "/run/hooks/sick")
    machine.wait(lambda: project.pid("app", "one") not in (0, pid), 15, "it has been restarted")
    machine.run("rm", "/run/hooks/sick")
    exit = json.loads(project.omnitron("inspect", "app", "--json").stdout)["lastExit"]
    assert exit["signal"] == "SIGABRT"


def test_a_process_that_hangs_is_ended_and_says_where(machine: Machine, make: Make) -> None:
    project = hosted(make, {"name": "one", "health": {"interval": "300ms", "timeout": "300ms"}})
    project.omnitron("up")
    pid = project.pid("app", "one")
    assert project.omnitron("exec", "app", "Shop", "hang", "--deadline", "1", check=False).returncode == 1
    machine.wait(lambda: project.pid("app", "one") not in (0, pid), 15, "it has been restarted")
    lines = " ".join(str(entry["MESSAGE"]) for entry in machine.journal(project.unit("app", "one")))
    assert "in hang" in lines


def test_what_ends_a_process_at_its_start_is_told(machine: Machine, make: Make) -> None:
    once = {"restartPolicy": {"maxRestarts": 0}}
    project = hosted(
        make,
        {"name": "import", "module": "./modules/bad.py", **once},
        {"name": "hook", "hooks": {"beforeStart": "hooks.py:broken"}, **once},
        {"name": "config", **once},
        config={"sources": [{"type": "file", "path": "settings.json", "optional": True}]},
    )
    project.write("modules/bad.py", "import json\nfrom nowhere import something\n")
    project.omnitron("up", check=False)
    line = HOOKS.splitlines().index('def broken(app): raise RuntimeError("no such table")') + 1
    reasons = {
        "import": "modules/bad.py:2: ModuleNotFoundError: No module named 'nowhere'",
        "hook": f"cannot run the hook beforeStart: hooks.py:{line}: RuntimeError: no such table",
    }
    for name, reason in reasons.items():
        machine.wait(lambda name=name: project.state("app", name) == "failed", 10, f"{name} is given up")
        exit = json.loads(project.omnitron("inspect", f"app:{name}", "--json").stdout)["lastExit"]
        assert reason in exit["message"]
        assert reason in project.omnitron("inspect", f"app:{name}").stdout
    assert project.state("app", "config") == "active"


def test_configuration_is_read_again_on_sighup(machine: Machine, make: Make) -> None:
    sources = ["settings.json", {"type": "env", "prefix": "SHOP_"}]
    project = hosted(make, {"name": "one", "env": {"SHOP_LIMIT__MAX": "5"}}, config={"sources": sources})
    project.write("settings.json", '{"limit": {"max": 1, "min": 0}, "name": "a"}')
    project.omnitron("up")
    assert call(project, "Shop.settings") == {"limit": {"max": 5, "min": 0}, "name": "a"}
    project.write("settings.json", '{"name": "b"}')
    machine.systemctl("reload", project.unit("app", "one"))
    machine.wait(lambda: call(project, "Shop.settings").get("name") == "b", 5, "it was read again")
    project.write("settings.json", "{")
    machine.systemctl("reload", project.unit("app", "one"))
    time.sleep(0.3)
    assert call(project, "Shop.settings")["name"] == "b"


def test_topology_between_processes_of_different_users(machine: Machine, make: Make) -> None:
    front = {"name": "front", "module": "./modules/front.py", "topology": {"access": ["Shop"]}, "user": "games"}
    project = hosted(make, {"name": "api", "instances": 2, "topology": {"expose": True}}, front)
    project.omnitron("up")
    assert call(project, "Front.ask")["instance"] in (1, 2)
    path = f"/run/{project.prefix}/dev/app-api.sock"
    connect = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({path!r}); print(s.recv(999).decode())"
    refused = machine.run("python3", "-c", connect, user="nobody").stdout
    assert "not permitted" in refused and "result" not in refused
    # While nobody serves, a call waits.
    machine.run("systemctl", "stop", project.unit("app", "api", 1), project.unit("app", "api", 2))
    machine.run("sh", "-c", f"(sleep 1; systemctl start {project.unit('app', 'api', 1)}) >/dev/null 2>&1 &")
    assert call(project, "Front.ask")["instance"] == 1


def test_an_unknown_service_is_an_error_of_the_definition(machine: Machine, make: Make) -> None:
    front = {"name": "front", "module": "./modules/front.py", "topology": {"access": ["Shopp"]}}
    project = hosted(make, {"name": "api", "topology": {"expose": True}}, front)
    done = project.omnitron("validate", check=False)
    assert done.returncode == 3 and "Shopp" in done.stderr and "Shop" in done.stderr


def test_roles_and_tokens(machine: Machine, make: Make) -> None:
    key = "k" * 40
    project = hosted(
        make,
        {"name": "http", "transports": {"http": {"port": PORT}}},
        {"name": "open", "transports": {"http": {"port": PORT + 1}}, "auth": False},
        auth={"jwt": {"enabled": True, "keyFile": "jwt.key"}},
    )
    project.write("jwt.key", key, mode=0o600)
    project.omnitron("up")
    claims = "{'sub': 'me', 'exp': time.time() + 60, 'roles': sys.argv[2:]}"
    sign = f"import jwt, sys, time; print(jwt.encode({claims}, sys.argv[1]))"
    token, admin = (machine.run(*machine.python, "-c", sign, key, *roles).stdout.strip() for roles in ([], ["admin"]))
    answers = {
        "none": machine.run("curl", "-si", "-d", "{}", f"http://127.0.0.1:{PORT}/rpc").stdout,
        "open": machine.run("curl", "-si", "-d", "{}", f"http://127.0.0.1:{PORT + 1}/rpc").stdout,
    }
    assert "401 Unauthorized" in answers["none"] and 'www-authenticate: Bearer realm="omnitron"' in answers["none"]
    assert "200 OK" in answers["open"]
    assert rpc(machine, "Shop.add", [1], f"Authorization: Bearer {token}")[0] == 200
    assert rpc(machine, "Shop.secret", [], f"Authorization: Bearer {token}")[0] == 403
    assert rpc(machine, "Shop.secret", [], f"Authorization: Bearer {admin}") == (
        200,
        {"jsonrpc": "2.0", "id": 1, "result": "told"},
    )
    # Only systemd reads the key; root may call over the process's own socket.
    assert call(project, "Shop.secret", app="app:http") == "told"
    assert key not in machine.run("sh", "-c", f"cat /etc/omnitron/{project.prefix}-dev.hosts/*").stdout


def test_a_stop_finishes_what_is_in_flight(machine: Machine, make: Make) -> None:
    project = hosted(make, {"name": "http", "transports": {"http": {"port": PORT}}})
    project.omnitron("up")
    pid = project.pid("app", "http")
    body = '{"jsonrpc":"2.0","id":1,"method":"Shop.slow","params":[1.5]}'
    command = f"curl -si -d '{body}' http://127.0.0.1:{PORT}/rpc > /run/{project.prefix}-answer"
    machine.run("sh", "-c", f"({command}) & sleep 0.5; systemctl restart {project.unit('app', 'http')}; wait")
    answer = machine.read(f"/run/{project.prefix}-answer")
    assert f'"result":{pid}' in answer and "connection: close" in answer
    assert machine.show(project.unit("app", "http"), "Result") == "success"
