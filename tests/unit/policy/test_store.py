import json
from pathlib import Path

import pytest

from omnitron.errors import OmnitronError, UsageError
from omnitron.policy.addresses import resolve
from omnitron.policy.codec import PolicyFileError
from omnitron.policy.store import read_policies
from tests.support.policy_documents import app, dev_and_prod, policy, write


def test_a_policy_is_read_as_it_was_written(tmp_path: Path) -> None:
    dev, prod = read_policies([write(tmp_path, *dev_and_prod())])
    assert (dev.stack, dev.critical_target, prod.stack) == ("dev", "omnitron-dev-critical-failure.target", "prod")
    assert dev.source == Path("/srv/shop/omnitron.config.toml")
    assert dev.services == (
        "omnitron-dev-db-main.service",
        "omnitron-dev-api-http.service",
        "omnitron-dev-api-worker@1.service",
        "omnitron-dev-api-worker@2.service",
        "omnitron-dev-api-worker@3.service",
    )
    assert dev.apps[0].processes[0].restarts.max_restarts == 5


def test_the_planner_writes_what_is_read(tmp_path: Path) -> None:
    pytest.importorskip("pydantic")
    from omnitron.definition.loader import load
    from omnitron.planner.facts import HostFacts
    from omnitron.planner.plan import make_plan
    from omnitron.render.files import render

    definition = tmp_path / "omnitron.config.json"
    apps = [
        {"name": "db", "command": ["/bin/sleep", "1"], "user": "root"},
        {"name": "api", "command": ["/bin/sleep", "1"], "user": "root", "instances": 2, "dependsOn": ["db"]},
    ]
    definition.write_text(json.dumps({"project": "shop", "apps": apps, "stacks": {"dev": {"type": "local"}}}))
    plan = make_plan(load(definition), HostFacts(252, "system", Path("/helpers"), Path("/usr/bin/python3")))
    files = [file for stack in plan.stacks for file in render(stack) if file.place == "policy"]
    for file in files:
        (tmp_path / "installed").mkdir(exist_ok=True)
        (tmp_path / "installed" / file.name).write_text(file.text)
    (read,) = read_policies([tmp_path / "installed"])
    assert read.path.name == "omnitron-dev.json"
    assert [found.name for found in read.apps] == ["db", "api"]
    assert read.apps[1].services == ("omnitron-dev-api-main@1.service", "omnitron-dev-api-main@2.service")
    assert read.apps[0].gate == "omnitron-dev-db-ready.service"


def test_the_first_folder_wins_and_others_may_be_missing(tmp_path: Path) -> None:
    lasting = write(tmp_path / "etc", policy("dev", app("api")))
    runtime = write(tmp_path / "run", policy("dev", app("old")), policy("test", app("api")))
    found = read_policies([tmp_path / "missing", lasting, runtime])
    assert [(one.stack, one.apps[0].name) for one in found] == [("dev", "api"), ("test", "api")]


def test_other_files_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, policy("dev", app("api")))
    for name in (".omnitron-staged-omnitron-dev.json", "omnitron-dev.probes-15s.json", "omnitron-dev.txt"):
        (tmp_path / name).write_text("half")
    assert [stack.stack for stack in read_policies([tmp_path])] == ["dev"]


def test_a_damaged_file_is_named_or_left_out(tmp_path: Path) -> None:
    write(tmp_path, policy("dev", app("api")))
    (tmp_path / "omnitron-prod.json").write_text("{")
    with pytest.raises(PolicyFileError, match=r"cannot read .*omnitron-prod\.json: it is damaged"):
        read_policies([tmp_path])
    errors: list[OmnitronError] = []
    assert [stack.stack for stack in read_policies([tmp_path], errors.append)] == ["dev"]
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("text", "address", "services"),
    [
        ("api", "dev/api", 4),
        ("dev/api", "dev/api", 4),
        ("api:http", "dev/api:http", 1),
        ("api:worker", "dev/api:worker", 3),
        ("dev/api:worker@2", "dev/api:worker@2", 1),
        ("api@2", "dev/api:worker@2", 1),
        ("api:worker@7", "dev/api:worker@7", 1),
        ("prod/db", "prod/db", 1),
    ],
)
def test_addresses(tmp_path: Path, text: str, address: str, services: int) -> None:
    (target,) = resolve(text, read_policies([write(tmp_path, *dev_and_prod())]))
    assert (str(target.address), len(target.services)) == (address, services)
    stack, named, _, _ = target
    assert named in stack.apps


@pytest.mark.parametrize(
    ("text", "brief", "hint"),
    [
        ("db", "cannot tell which 'db' is meant: dev/db, prod/db", "name one of these"),
        ("apl", "cannot find 'apl'", "did you mean dev/api?"),
        ("prod/api", "cannot find 'prod/api'", "did you mean prod/db or dev/api?"),
        ("api:work", "cannot find 'api:work'", "did you mean dev/api:worker?"),
        ("worker", "cannot find 'worker'", "did you mean dev/api:worker?"),
        ("zzz", "cannot find 'zzz'", "there is dev/db, dev/api, prod/db"),
        ("api:http@1", "cannot find 'api:http@1': dev/api:http is no pool, it has no instances", None),
        (
            "a/b/c",
            "cannot read 'a/b/c' as an address: it has the form [stack/]app[:process][@instance]",
            "for example api, api:worker, dev/api:worker@2",
        ),
    ],
)
def test_addresses_that_mean_nothing_or_too_much(tmp_path: Path, text: str, brief: str, hint: str | None) -> None:
    policies = read_policies([write(tmp_path, *dev_and_prod())])
    with pytest.raises(UsageError) as caught:
        resolve(text, policies)
    assert caught.value.brief == brief
    assert caught.value.hint == hint


def test_nothing_is_installed() -> None:
    with pytest.raises(UsageError, match="no stack is installed here"):
        resolve("api", [])


def test_two_projects_with_the_same_address_are_told_apart_by_the_folder(tmp_path: Path) -> None:
    first = policy("dev", app("api"), source="/srv/shop/omnitron.config.toml")
    second = policy("dev", app("api"), source="/srv/blog/omnitron.config.toml") | {"prefix": "blog"}
    policies = read_policies([write(tmp_path, first, second)])
    (target,) = resolve("api", policies, here=Path("/srv/shop/apps/api"))
    assert target.stack.prefix == "omnitron"
    with pytest.raises(UsageError, match=r"dev/api of /srv/blog/.*, dev/api of /srv/shop/"):
        resolve("api", policies, here=Path("/tmp"))
