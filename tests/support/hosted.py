"""A project of modules that the process host runs, and calls of its services."""

from __future__ import annotations

import json
from typing import Any

from tests.support.machines import Machine
from tests.support.projects import Make, Project

API = """\
import asyncio, os, time
import omnitron
from omnitron import Context, RpcError, requires, service

@service("Shop")
class Shop:
    def __init__(self, context: Context) -> None:
        self.context = context

    async def add(self, a: int, b: int = 1) -> int:
        return a + b

    async def who(self) -> dict:
        return {"pid": os.getpid(), "instance": self.context.instance, "uid": os.getuid()}

    async def settings(self) -> dict:
        return dict(self.context.config)

    async def slow(self, seconds: float) -> int:
        await asyncio.sleep(seconds)
        return os.getpid()

    async def hang(self) -> None:
        time.sleep(1000)

    async def fail(self) -> None:
        raise ValueError("told to")

    @requires("admin")
    async def secret(self) -> str:
        return "told"

def hello(request):
    return {"hello": request.path_params["name"]}
"""

FRONT = """\
from typing import Annotated
from omnitron import Proxy, service, topology

@service
class Front:
    def __init__(self, shop: Annotated[Proxy, topology("Shop")]) -> None:
        self.shop = shop

    async def ask(self) -> dict:
        return await self.shop.who()

    async def add(self, a: int) -> int:
        return await self.shop.add(a)
"""

HOOKS = """\
import pathlib
def note(what):
    with open("/run/hooks/" + what.split()[0], "a") as file:
        file.write(what + "\\n")
def before_create(): note("order beforeCreate")
async def after_create(app): note(f"order afterCreate {app.process}")
def before_start(app): note("order beforeStart")
async def after_start(app): note("order afterStart")
async def before_stop(app): note("order beforeStop")
def after_stop(): note("order afterStop")
def sick():
    is_sick = pathlib.Path("/run/hooks/sick").exists()
    return {"status": "unhealthy" if is_sick else "degraded", "message": "so so"}
def broken(app): raise RuntimeError("no such table")
"""

PORT = 8930


def hosted(make: Make, *processes: dict[str, Any], **system: Any) -> Project:
    """A project with one app, `app`, of these processes."""
    project = make([])
    project.write("modules/api.py", API)
    project.write("modules/front.py", FRONT)
    project.write("hooks.py", HOOKS)
    each = [{"module": "./modules/api.py", **process} for process in processes]
    project.write("bootstrap.json", json.dumps({"name": "app", "version": "1.2", "processes": each, **system}))
    project.define([{"name": "app", "bootstrap": "bootstrap.json"}])
    return project


def call(project: Project, method: str, *arguments: str, app: str = "app", **given: Any) -> Any:
    return json.loads(project.omnitron("exec", app, *method.split("."), *arguments, **given).stdout)


def rpc(machine: Machine, method: str, params: Any, *headers: str, port: int = PORT) -> tuple[int, Any]:
    """Call over HTTP: the status, and the answer."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    flags = [word for header in headers for word in ("-H", header)]
    url = f"http://127.0.0.1:{port}/rpc"
    text = machine.run("curl", "-s", "-w", "\n%{http_code}", *flags, "-d", body, url).stdout
    answer, _, status = text.rpartition("\n")
    return int(status), json.loads(answer)
