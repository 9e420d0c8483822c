"""Templates and the values of units fit each other both ways: no value is dropped, no line can never be there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import meta

from omnitron.names import WATCHER
from omnitron.planner.facts import SecretPlaces
from omnitron.planner.units.values import Literal, Unit
from omnitron.render.files import render, render_unit
from omnitron.render.templates import environment, fill
from omnitron.render.unitfile import parse
from tests.support.build import bootstrap, facts, planned, shop, write
from tests.support.unit_reader import check, template_lines

NAMES = [name.removesuffix(".j2") for name in environment().list_templates(["j2"])]
OF_THE_RENDERER = {"digest", "raw_unit", "raw_service"}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[Unit]:
    """Units of a definition that uses all there is, in both scopes."""
    folder = tmp_path_factory.mktemp("everything")
    http = {"http": {"port": 80, "socketActivation": True}, "websocket": {"port": 81}}
    pool = {"name": "pool", "command": ["x"], "instances": 2, "transports": http, "critical": True}
    jwt = {"auth": {"jwt": {"enabled": True, "keyFile": "key"}}}
    (folder / "key").touch()
    (folder / "m.py").write_text("from omnitron import service\n@service\nclass S: ...\n")
    module = {"name": "module", "module": "m.py", "topology": {"expose": True}, **jwt}
    write(folder / "config", {"omnitron": {"database": True}}, ".json", "default")
    file = bootstrap(folder, pool, {"name": "one", "command": ["x"], "user": "dynamic", "group": "adm"}, module)
    rich = {
        "group": "adm",
        "limits": {"memoryMax": 1, "memoryHigh": 1, "cpuQuota": "1%", "cpuWeight": 1, "tasksMax": 2, "ioWeight": 1},
        "paths": {"state": True, "cache": True, "write": ["/tmp/a", "/srv/a"]},
        "health": {"probe": {"type": "command", "command": ["x"]}},
        "systemd": {"unit": {"Documentation": "x:1"}, "service": {"Nice": 1}},
        "dependsOn": ["app"],
        "env": {"KEY": "${secret:key}"},
    }
    search = {"bareMetal": {"systemdUnit": "x.service"}, "ports": {"a": 1}, "healthCheck": {"type": "tcp"}}
    data = shop(
        {"name": "app", "bootstrap": file},
        {"name": "rich", **rich},
        {"name": "roots", "user": "root"},
        logging={"maxFiles": 1},
        infrastructure={"services": {"search": search}},
    )
    user = replace(facts(scope="user"), secrets=SecretPlaces(sealed=True, passphrase=Path("/x")))
    system = planned(folder, data).stacks[0].units
    del data["infrastructure"]  # a user's manager has no units of the host
    return [*system, *planned(folder, data, user).stacks[0].units]


@pytest.mark.parametrize("name", NAMES)
def test_every_value_has_its_line_and_every_line_a_value(name: str, everything: list[Unit]) -> None:
    units = [unit for unit in everything if unit.template == name]
    variables = meta.find_undeclared_variables(environment().parse("\n".join(template_lines(name)))) - OF_THE_RENDERER
    assert units
    for unit in units:
        assert set(unit.values) <= variables, unit.name
    given = {key for unit in units for key, value in unit.values.items() if value is not None}
    of_stack = ("stack-target", "critical-target", "critical-check", "health-timer", "health-sweep", "secrets")
    of_nothing = {"process"} if name in ("app-target", "gate", "slice", *of_stack) else set()
    of_nothing |= {"app"} if name in of_stack else set()
    of_nothing |= {"project", "stack", "app", "process", "source"} if name == "watcher" else set()
    assert variables - given == of_nothing


def test_every_template_is_used(everything: list[Unit]) -> None:
    assert {unit.template for unit in everything} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_template_reads_like_the_unit_that_it_makes(name: str) -> None:
    """No logic, no directive twice, and an X-Omnitron section like all the others."""
    lines = template_lines(name)
    assert not any("{%" in line or "|" in line for line in lines)
    keys = [line.partition("=")[0] for line in lines if "=" in line]
    assert len(keys) == len(set(keys))
    assert lines[-7:] == [
        "[X-Omnitron]",
        *(f"{key}={{{{ {key.lower()} }}}}" for key in ("Project", "Stack", "App", "Process", "Source", "Digest")),
    ]


def test_everything_reads_back(everything: list[Unit]) -> None:
    for unit in everything:
        check(unit, render_unit(unit).text)


def test_raw_directives_stand_at_the_end_of_their_section(everything: list[Unit]) -> None:
    (unit, _) = (unit for unit in everything if unit.name == "omnitron-dev-rich-main.service")
    sections = parse(fill(unit))
    assert sections["Unit"][-1] == ("Documentation", "x:1")
    assert sections["Service"][-1] == ("Nice", "1")


def test_what_is_left_out_leaves_no_gap() -> None:
    unit = Unit("x.service", "service", {"source": Literal("/x"), "type": "exec", "umask": "0027"})
    assert fill(unit).partition("\n\n")[2] == (
        "[Unit]\n\n[Service]\nType=exec\n\nUMask=0027\n\n[X-Omnitron]\nSource=/x\nDigest=@\n"
    )


def test_a_tuple_repeats_its_line() -> None:
    unit = Unit("x.target", "app-target", {"source": Literal("/x"), "wants": ("a", "b"), "part_of": ()})
    assert parse(fill(unit))["Unit"] == [("Wants", "a"), ("Wants", "b")]


# Files


def test_the_files_of_a_stack(tmp_path: Path) -> None:
    plan = planned(tmp_path, shop({"name": "a"}, logging={"maxFiles": 2, "maxSize": 1000}))
    files = {(file.place, file.name): file for file in render(plan.stacks[0])}
    assert set(files) == {
        ("units", "omnitron-dev.target"),
        ("units", "omnitron-dev.slice"),
        ("units", "omnitron-dev-a-main.service"),
        ("units", "omnitron-watcher.service"),
        ("policy", "omnitron-dev.json"),
        ("journald", "omnitron-dev"),
        ("bus", "dev.omnitron.Watcher1.conf"),
        ("sysusers", "omnitron.conf"),
    }
    assert files["journald", "omnitron-dev"].text == (
        f"# Generated by omnitron from {tmp_path}/omnitron.config.yaml. Do not edit: changes are overwritten.\n"
        "[Journal]\nSystemMaxFileSize=1000\nSystemMaxFiles=2\nSystemMaxUse=2000\nCompress=yes\n"
    )


def test_the_run_digest_is_that_of_what_a_service_runs_with(tmp_path: Path) -> None:
    """A change elsewhere in the unit does not make a running service out of date."""

    def digest(app: dict[str, object], **more: object) -> tuple[str | None, str]:
        plan = planned(tmp_path, shop({"name": "a", **app}, **more))
        (file,) = (file for file in render(plan.stacks[0]) if file.name == "omnitron-dev-a-main.service")
        return file.run_digest, file.text

    run, text = digest({})
    assert f"\nDigest={run}\n" in text
    for app in ({"env": {"A": "b"}}, {"limits": {"tasksMax": 9}}, {"command": ["/bin/sleep", "2"]}):
        assert digest(app)[0] != run
    assert digest({"systemd": {"unit": {"Documentation": "x:1"}}})[0] == run
    assert digest({"critical": True})[0] == run


def test_units_that_run_nothing_have_no_run_digest(tmp_path: Path) -> None:
    for file in render(planned(tmp_path, shop()).stacks[0]):
        assert (file.run_digest is None) is (file.name != WATCHER)
