"""What processes expose and access must fit together in every stack; and what only a module can have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnitron.definition import topology
from tests.support.build import FORMATS, bootstrap, dumped, loaded, problems, shop, write

PRICES = "from omnitron import service\n@service('Prices')\nclass A: ...\n@service\nclass Stock: ...\n"
ORDERS = "from omnitron import service\n@service\nclass Orders: ...\n"
UNCLEAR = "from omnitron import service\n@service(str())\nclass A: ...\n"
STACKS = {"dev": {"type": "local"}, "prod": {"type": "local", "apps": ["a"]}}


def process(name: str, module: str = "", *access: str, expose: bool = False, **more: Any) -> dict[str, Any]:
    """A process with a module, or with a command when that is empty."""
    kind: dict[str, Any] = {"module": module} if module else {"command": ["/bin/true"]}
    wants = {"access": list(access)} if access else {}
    offers = {"expose": True} if expose else {}
    return {"name": name, **kind, **({"topology": offers | wants} if offers or wants else {}), **more}


PROVIDER = process("prices", "m/prices.py", expose=True)


def said(folder: Path, apps: dict[str, list[dict[str, Any]]], **more: Any) -> list[str]:
    """What is wrong with apps that are made of these processes, each with a folder of its own."""
    for app in apps:
        for name, text in {"prices": PRICES, "orders": ORDERS, "unclear": UNCLEAR, "empty": "x = 1\n"}.items():
            write(folder / app / "m", text, ".py", name)
    entries = [
        {"name": app, "bootstrap": Path(bootstrap(folder / app, *processes)).relative_to(folder).as_posix()}
        for app, processes in apps.items()
    ]
    return problems(write(folder, shop(*entries, **more)))


FITS: list[dict[str, list[dict[str, Any]]]] = [
    {"a": [process("x", "m/empty.py")]},
    {"a": [PROVIDER, process("x", "m/empty.py", "Prices", "Stock")]},
    {"a": [process("x", "m/empty.py", "Prices"), PROVIDER]},
    {"a": [process("x", "m.orders", "Prices", "Orders", expose=True), PROVIDER]},
    {"a": [process("x", "./m/empty.py", "Prices")], "b": [PROVIDER]},
    {"a": [PROVIDER, process("x", "m/prices.py"), process("y", "m.prices")]},
    {"a": [process("x", "not.here"), process("y", "installed.somewhere", expose=True)]},
    # Where one module does not say what it exposes, nobody knows what is missing.
    {"a": [PROVIDER, process("x", "m/empty.py", "Stok"), process("y", "m/unclear.py", expose=True)]},
    {"a": [PROVIDER, process("x", "m/empty.py", "Stok"), process("y", "installed.module", expose=True)]},
    {"a": [PROVIDER, process("x", "m/empty.py", "Stok")], "b": [process("y", "m/unclear.py", expose=True)]},
    # What is empty asks for nothing.
    {"a": [process("x", auth=False, hooks={}, customRoutes=[], topology={"expose": False, "access": []})]},
    {"a": [process("x", topology={}, auth={})]},
]


@pytest.mark.parametrize("apps", FITS)
def test_what_fits(tmp_path: Path, apps: dict[str, list[dict[str, Any]]]) -> None:
    assert not said(tmp_path, apps)


A = "a/bootstrap.yaml"

DOES_NOT: list[tuple[dict[str, list[dict[str, Any]]], list[str]]] = [
    (
        {"a": [PROVIDER, process("x", "m/empty.py", "Prices", "Stok", "Mail")]},
        [
            f"{A}:12: processes.x.topology.access.1: nobody exposes the service 'Stok'; there are Prices, Stock "
            "(did you mean 'Stock'?)",
            f"{A}:13: processes.x.topology.access.2: nobody exposes the service 'Mail'; there are Prices, Stock",
        ],
    ),
    (
        {"a": [process("x", "m/empty.py", "Orders"), process("y", "m/orders.py")]},
        [f"{A}:7: processes.x.topology.access.0: nobody exposes the service 'Orders'; there is none"],
    ),
    (
        {"a": [process("x", "m/empty.py", "orders")], "b": [process("y", "m/orders.py", expose=True)]},
        [
            f"{A}:7: processes.x.topology.access.0: nobody exposes the service 'orders'; there is Orders "
            "(did you mean 'Orders'?)"
        ],
    ),
    (
        {"a": [PROVIDER, process("x", "m.prices", expose=True)]},
        [
            f"{A}:10: processes.x.topology.expose: cannot expose the service '{name}' from a:x: "
            "a:prices does in the same stack"
            for name in ("Prices", "Stock")
        ],
    ),
    (
        {"a": [process("x", "m/orders.py", expose=True)], "b": [process("x", "m/orders.py", expose=True)]},
        [
            "b/bootstrap.yaml:6: processes.x.topology.expose: cannot expose the service 'Orders' from b:x: "
            "a:x does in the same stack"
        ],
    ),
    (
        {"a": [process("x", "m/empty.py", expose=True)]},
        [
            f"{A}:6: processes.x.topology.expose: cannot expose anything: the module 'm/empty.py' "
            "declares no service (decorate a class with @service)"
        ],
    ),
    (
        {"a": [process("x", "./m/nope.py"), process("y", "m/nope.py", expose=True), process("z", "/bin/nope.py")]},
        [
            f"{A}:4: processes.x.module: cannot find the module './m/nope.py': looked for a/m/nope.py, m/nope.py",
            f"{A}:6: processes.y.module: cannot find the module 'm/nope.py': looked for a/m/nope.py, m/nope.py",
            f"{A}:10: processes.z.module: cannot find the module '/bin/nope.py': looked for /bin/nope.py",
        ],
    ),
    (
        {
            "a": [
                process("x", "", "Prices", expose=True, auth={"jwt": {"enabled": True}}, hooks={"beforeStop": "a:b"}),
                process("y", customRoutes=[{"method": "GET", "pattern": "/", "handler": "a:b"}]),
                PROVIDER,
            ]
        },
        [
            f"{A}:{line}: processes.{path}: cannot have {path.rpartition('.')[2]} with a command: "
            "only a process with a module has it"
            for line, path in [
                (7, "x.topology.expose"),
                (8, "x.topology.access"),
                (10, "x.auth"),
                (13, "x.hooks"),
                (18, "y.customRoutes"),
            ]
        ],
    ),
]


@pytest.mark.parametrize(("apps", "found"), DOES_NOT)
def test_what_does_not(tmp_path: Path, apps: dict[str, list[dict[str, Any]]], found: list[str]) -> None:
    assert said(tmp_path, apps) == found


@pytest.mark.parametrize("suffix", FORMATS)
def test_in_every_format_it_has_its_line(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / "m", PRICES, ".py", "prices")
    write(tmp_path / "m", "", ".py", "empty")
    system = {"name": "a", "processes": [PROVIDER, process("x", "m/empty.py", "Prices", "Stok")]}
    file = write(tmp_path, system, suffix, "bootstrap", "system")
    (line,) = problems(write(tmp_path, shop({"name": "a", "bootstrap": file.name})))
    place, _, rest = line.partition(": ")
    assert rest.startswith("processes.x.topology.access.1: nobody exposes the service 'Stok'; ")
    number = int(place.removeprefix(f"bootstrap{suffix}:"))
    assert ("access" if suffix == ".toml" else "Stok") in dumped(system, suffix, "system").splitlines()[number - 1]


def test_each_stack_is_judged_alone(tmp_path: Path) -> None:
    consumer, provider = [process("x", "m/empty.py", "Orders")], [process("y", "m/orders.py", expose=True)]
    at = f"{A}:7: processes.x.topology.access.0"
    apps = {"a": consumer, "b": provider}
    assert said(tmp_path, apps, stacks=STACKS) == [
        f"{at}: nobody in the stack 'prod' exposes the service 'Orders'; there is none"
    ]
    both = {name: {"type": "local", "apps": ["a"]} for name in ("dev", "prod")}
    assert said(tmp_path, apps, stacks=both) == [
        f"{at}: nobody in the stack '{name}' exposes the service 'Orders'; there is none" for name in both
    ]
    apart = {name: {"type": "local", "apps": [name]} for name in ("a", "b")}
    assert not said(tmp_path, {"a": provider, "b": provider}, stacks=apart)
    assert not said(tmp_path, {"b": provider, "a": consumer}, stacks={"b": {"type": "local", "apps": ["b"]}})


def test_a_module_is_found_from_each_of_its_apps_folders(tmp_path: Path) -> None:
    """The bootstrap's, the entry's, and the one that the system starts in."""
    for folder, module in (("app/src", "beside"), ("app", "above"), ("app/run", "inside")):
        write(tmp_path / folder / "m", ORDERS.replace("Orders", module.title()), ".py", module)
    names = ("beside", "above", "inside")
    processes = [process(name, f"./m/{name}.py", expose=True) for name in names]
    wanted = process("x", "m.above", *(name.title() for name in names))
    bootstrap(tmp_path / "app/src", *processes, wanted, cwd="../run")
    entry = {"name": "a", "bootstrap": "app/src/bootstrap.yaml"}
    assert problems(write(tmp_path, shop(entry))) == [
        "app/src/bootstrap.yaml:8: processes.above.module: cannot find the module './m/above.py': "
        "looked for app/src/m/above.py, m/above.py, app/run/m/above.py",
    ]
    assert problems(write(tmp_path, shop(entry | {"bootstrap": "src/bootstrap.yaml", "cwd": "app"}))) == [
        "app/src/bootstrap.yaml:12: processes.inside.module: cannot find the module './m/inside.py': "
        "looked for app/src/m/inside.py, app/m/inside.py",
    ]


def test_a_path_into_a_folder_that_is_not_there_is_not_judged(tmp_path: Path) -> None:
    """Neither is one that names no folder."""
    for module in ("./nowhere/worker.py", "worker.py", "./worker.py"):
        assert not said(tmp_path, {"a": [process("x", module)]})


BROKEN: list[Callable[[dict[str, Any]], object]] = [
    lambda definition: definition["processes"].append(process("y", "m/orders.py", topology={"expos": True})),
    lambda definition: definition["processes"].append(process("y", "m/orders.py", toplogy={"expose": True})),
    lambda definition: definition["processes"].append(process("no name", "m/orders.py", expose=True)),
    lambda definition: definition["processes"].append(process("y", "m/orders.py", expose=True) | {"module": 5}),
    lambda definition: definition.update(processes=5),
    lambda definition: definition.clear(),
]


@pytest.mark.parametrize("spoil", BROKEN)
def test_what_only_follows_from_something_else_is_not_said(tmp_path: Path, spoil: Callable[[Any], object]) -> None:
    write(tmp_path / "b/m", ORDERS, ".py", "orders")
    definition = {"name": "b", "processes": [process("z", "m.orders")]}
    spoil(definition)
    write(tmp_path / "b", definition, stem="bootstrap", kind="system")
    consumer = bootstrap(tmp_path / "a", process("x", "m", "Orders"))
    found = problems(
        write(tmp_path, shop({"name": "a", "bootstrap": consumer}, {"name": "b", "bootstrap": "b/bootstrap.yaml"}))
    )
    assert found
    assert all(line.startswith("b/bootstrap.yaml") for line in found)


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "b", "bootstrap": "b/nope.yaml"},
        {"name": "b", "bootstrap": 5},
        {"name": "no name", "bootstrap": "a/bootstrap.yaml"},
    ],
)
@pytest.mark.parametrize("chosen", ["all", ["a", "b"]])
def test_nor_of_an_app_that_could_not_be_read(tmp_path: Path, entry: dict[str, Any], chosen: Any) -> None:
    consumer = bootstrap(tmp_path / "a", process("x", "m", "Orders"))
    stacks = {"dev": {"type": "local", "apps": chosen}}
    found = problems(write(tmp_path, shop({"name": "a", "bootstrap": consumer}, entry, stacks=stacks)))
    assert found
    assert not any("exposes" in line for line in found)


def test_both_module_and_command_is_one_problem(tmp_path: Path) -> None:
    both = process("x", "m/nope.py", "Mail", expose=True, command=["/bin/true"], hooks={"beforeStop": "a:b"})
    assert said(tmp_path, {"a": [both]}) == [
        f"{A}:9: processes.x.command: cannot have both module and command: pick one"
    ]


def test_apps_without_processes_take_no_part(tmp_path: Path) -> None:
    assert not list(topology.problems(loaded(tmp_path, shop({"name": "a"}, {"name": "b"}))))
