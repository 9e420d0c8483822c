"""Documents survive the round trip, and a file that is none is answered with what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnitron.errors import DefinitionError
from omnitron.planner.facts import HostFacts
from omnitron.planner.plan import make_plan
from omnitron.planner.units.health_sweep import probes
from omnitron.policy.codec import Document, PolicyFileError, marshal, read, unmarshal
from omnitron.policy.host_spec import HostSpec
from omnitron.policy.model import StackPolicy
from omnitron.policy.server_specs import ContainerSpec, NginxSpec, PostgresSpec, RedisSpec
from omnitron.supervision.state import probes as probe_files
from tests.support.build import bootstrap, facts, loaded, planned, shop, write

AGAIN = "`omnitron generate` writes it again"

text = st.text(st.sampled_from(" az\"'\\$%{}é漢\U0001f600\n\t-_./:"), min_size=1, max_size=6)
names = st.text(st.sampled_from("az09"), min_size=1, max_size=4)
numbers = st.integers(1, 10**6)
environment = st.dictionaries(st.sampled_from(["A", "B_C", "Z"]), text | st.just("x${secret:s}"), max_size=2)
probe = st.fixed_dictionaries({"type": st.just("command"), "command": st.just(["/bin/true"])}) | st.fixed_dictionaries(
    {"type": st.just("http"), "target": st.just("http://127.0.0.1:1/x")}
)
health = st.fixed_dictionaries(
    {}, optional={"enabled": st.booleans(), "interval": numbers, "timeout": numbers, "retries": st.integers(1, 9)}
)
restarts = st.fixed_dictionaries(
    {}, optional={"enabled": st.booleans(), "maxRestarts": st.integers(0, 9), "window": numbers, "delay": numbers}
)
scaling = st.fixed_dictionaries(
    {"strategy": st.sampled_from(["auto", "fixed"])},
    optional={"maxInstances": st.integers(1, 1000), "targetCPU": st.floats(0.1, 1e9), "queueThreshold": numbers},
)
hosted = st.fixed_dictionaries(
    {"module": st.just("m.py")},
    optional={
        "health": health,
        "hooks": st.dictionaries(st.sampled_from(["beforeStart", "afterStop"]), st.just("m.py:f"), max_size=2),
        "env": environment,
        "instances": st.integers(1, 1000),
        "scaling": scaling,
        "topology": st.fixed_dictionaries({}, optional={"expose": st.booleans(), "access": st.just(["Work"])}),
        "transports": st.fixed_dictionaries(
            {},
            optional={
                "http": st.fixed_dictionaries(
                    {"port": st.integers(1, 65535)},
                    optional={
                        "cors": st.booleans() | st.dictionaries(names, text | numbers | st.none(), max_size=2),
                        "requestTimeout": numbers,
                        "maxRequestSize": numbers,
                    },
                ),
                "websocket": st.fixed_dictionaries(
                    {"port": st.integers(1, 65535)},
                    optional={"keepAlive": st.fixed_dictionaries({}, optional={"interval": numbers})},
                ),
            },
        ),
        "auth": st.just(False)
        | st.fixed_dictionaries({"jwt": st.just({"enabled": True, "keyFile": "k", "tokenCacheTtl": 1.5})}),
    },
)
command = st.fixed_dictionaries(
    {"command": st.just(["/bin/true"])},
    optional={
        "health": health.flatmap(lambda found: probe.map(lambda one: {**found, "probe": one})),
        "restartPolicy": restarts,
        "critical": st.booleans(),
        "enabled": st.booleans(),
        "instances": st.integers(1, 1000),
        "env": environment,
        "watch": st.booleans()
        | st.fixed_dictionaries({"directory": st.just("."), "ignore": st.lists(text, max_size=2)}),
        "shutdown": st.fixed_dictionaries({}, optional={"priority": st.integers(-9, 9), "timeout": numbers}),
    },
)
needs = st.fixed_dictionaries(
    {},
    optional={
        "database": st.just(True) | st.just({"extensions": ["citext"]}),
        "redis": st.just(True),
        "s3": st.just(True) | st.just({"bucket": "pictures", "quota": "1gb"}),
        "infrastructure": st.fixed_dictionaries(
            {
                "node": st.fixed_dictionaries(
                    {
                        "docker": st.fixed_dictionaries(
                            {"image": names},
                            optional={
                                "environment": environment,
                                "command": text | st.lists(text, min_size=1, max_size=2),
                                "volumes": st.lists(st.sampled_from(["data:/d", "./c:/c:ro"]), max_size=2),
                                "portMappings": st.dictionaries(st.sampled_from(["80", "53/udp"]), st.just(5353)),
                                "healthCheck": st.just({"test": "true"}) | st.just({"test": ["CMD", "x"]}),
                                "resources": st.just({"memory": "1mb", "cpus": 0.5}),
                                "build": st.just({"context": ".", "args": {"A": "b"}}),
                            },
                        )
                    }
                )
            }
        ),
    },
)


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """The parts of a project: an app of processes of ours, an app of a command, and what the stack has beside."""
    return {
        "processes": draw(st.lists(hosted, max_size=2)),
        "app": draw(command),
        "needs": draw(needs),
        "gateway": draw(st.none() | st.just({"port": 8080}) | st.just({"port": 80, "image": "own:1"})),
        "strategy": draw(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"])),
        "prometheus": draw(st.none() | st.just({"host": "::1", "port": 9100, "tokenFile": "t"})),
    }


def plan_of(folder: Path, parts: dict[str, Any], on: HostFacts) -> Iterator[Document]:
    """Every document of the plan; none where the parts do not fit together."""
    write(folder, "", ".py", "m")
    write(folder / "config", {"omnitron": parts["needs"]}, ".json", "default")
    (folder / "k").write_text("k" * 40)
    (folder / "t").write_text("t" * 40)
    apps = [{"name": "web", **parts["app"]}]
    if parts["processes"]:
        each = [{"name": f"p{number}", **process} for number, process in enumerate(parts["processes"])]
        apps.append({"name": "api", "bootstrap": bootstrap(folder, *each)})
    more = {
        "supervision": {"strategy": parts["strategy"]},
        **({"gateway": parts["gateway"]} if parts["gateway"] else {}),
        **({"monitoring": {"metrics": {"prometheus": parts["prometheus"]}}} if parts["prometheus"] else {}),
    }
    try:
        plan = make_plan(loaded(folder, shop(*apps, **more), ".json"), on)
    except DefinitionError:
        return
    for stack in plan.stacks:
        yield stack.policy
        for processes in stack.apps.values():
            yield from (process.spec.document for process in processes if process.spec)
        for _, sweep in probes(stack.names, stack.apps):
            (folder / "probes.json").write_text(probe_files.marshal(sweep))
            assert probe_files.read(f"{folder}/probes.json") == sweep


HOSTS = [facts(), replace(facts(), programs=frozenset({"docker"})), facts(scope="user")]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(definitions(), st.sampled_from(HOSTS))
def test_whatever_is_planned_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, parts: dict[str, Any], on: HostFacts
) -> None:
    for document in plan_of(tmp_path_factory.mktemp("plan"), parts, on):
        assert unmarshal(type(document), marshal(document), "it") == document
        assert unmarshal(type(document), marshal(document, indent=1).encode(), "it") == document


def test_the_plans_hold_every_kind_of_document(tmp_path: Path) -> None:
    parts = {
        "processes": [{"module": "m.py"}],
        "app": {"command": ["/bin/true"]},
        "needs": {"database": True, "redis": True, "infrastructure": {"node": {"docker": {"image": "x"}}}},
        "gateway": {"port": 8080},
        "strategy": "one_for_one",
        "prometheus": None,
    }
    kinds = {type(document) for document in plan_of(tmp_path, parts, facts())}
    assert kinds == {StackPolicy, HostSpec, PostgresSpec, RedisSpec, NginxSpec, ContainerSpec}


# Files that are not as they should be


@pytest.fixture
def good(tmp_path: Path) -> dict[str, Any]:
    """The data of a policy."""
    app = {"name": "a", "instances": 2, "health": {"probe": {"type": "command", "command": ["x"]}}}
    found: dict[str, Any] = json.loads(marshal(planned(tmp_path, shop(app)).stacks[0].policy))
    return found


def refused(content: str | bytes) -> PolicyFileError:
    with pytest.raises(PolicyFileError) as caught:
        unmarshal(StackPolicy, content, "/etc/x.json")
    return caught.value


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"\x00\xff", "Expecting value"),
        (b'{"version": 2, "stack": "\xff"}', "it is no text"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a":' * 100_000, "it is nested too deeply"),
        (b"null", "it has no version"),
        (b"[]", "it has no version"),
        (b"{}", "it has no version"),
        (b'{"version": "2"}', "it has no version"),
        (b'{"version": true}', "it has no version"),
        (b'{"version": 2}', "project: it is missing"),
        (b'{"version": 2, "window": NaN}', "NaN is no number"),
        (b'{"version": 2, "window": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
    ],
)
def test_what_is_no_policy_at_all(content: bytes, why: str) -> None:
    error = refused(content)
    assert error.brief.startswith(f"cannot read /etc/x.json: it is damaged: {why}")
    assert error.hint == AGAIN


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("more",), 1, "more: there is no such key"),
        (("apps", 0, "processes", 0, "more"), 1, "apps.0.processes.0.more: there is no such key"),
        (("window",), True, "window: it is no integer"),
        (("window",), 1.0, "window: it is no integer"),
        (("stack",), None, "stack: it is no text"),
        (("stack",), "\ud800", "stack: it is no text"),
        (("source",), 7, "source: it is no text"),
        (("apps",), {}, "apps: it is no list"),
        (("apps", 0), [], "apps.0: it is no object"),
        (("apps", 0, "enabled"), 1, "apps.0.enabled: it is no truth value"),
        (("ports",), {"a": "1"}, "ports.a: it is no integer"),
        (("apps", 0, "processes", 0, "instances"), 10**9, "apps.0.processes.0: a pool cannot have 1000000000"),
    ],
)
def test_a_value_that_does_not_fit_is_named(good: dict[str, Any], path: tuple[Any, ...], value: Any, why: str) -> None:
    *above, last = path
    place: Any = good
    for key in above:
        place = place[key]
    place[last] = value
    error = refused(json.dumps(good))
    assert error.brief.startswith(f"cannot read /etc/x.json: it is damaged: {why}")
    assert error.hint == AGAIN


def test_every_key_of_a_policy_is_needed(good: dict[str, Any]) -> None:
    for key in good.keys() - {"version"}:
        error = refused(json.dumps({name: value for name, value in good.items() if name != key}))
        assert error.brief == f"cannot read /etc/x.json: it is damaged: {key}: it is missing"


def test_files_of_other_versions(good: dict[str, Any]) -> None:
    older, newer = (refused(json.dumps({**good, "version": number, "other": 1})) for number in (1, 3))
    assert (older.brief, older.hint) == ("cannot read /etc/x.json: an older omnitron wrote it", AGAIN)
    assert newer.brief == "cannot read /etc/x.json: a newer omnitron wrote it"
    assert newer.hint == "use that one, or `omnitron generate`: this one reads format 2, not 3"


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_damage_is_a_traceback(good: dict[str, Any], data: st.DataObject) -> None:
    content = bytearray(json.dumps(good).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 40))] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"{", b"9" * 400])
        )
    content = content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))]
    try:
        assert isinstance(unmarshal(StackPolicy, bytes(content), "it"), StackPolicy)
    except PolicyFileError as error:
        assert error.hint and "`omnitron generate`" in error.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match=r"cannot read .*/spec\.json: no such file or directory") as caught:
        read(tmp_path / "spec.json", HostSpec)
    assert caught.value.hint == AGAIN
    with pytest.raises(PolicyFileError, match="is a directory"):
        read(tmp_path, HostSpec)


def test_the_programs_of_servers_load_no_definition() -> None:
    """Nor does a probe, which runs often, load what only a start needs."""
    servers = Path(__file__).parents[3] / "omnitron/programs/servers"
    program = """if True:
        import sys
        sys.path.append(sys.argv[1])
        from omnitron.programs.servers import postgres
        postgres.main(["probe", "1"])
        probe = set(sys.modules)
        import omnitron.policy.codec, omnitron.policy.server_specs
        print(*probe, "|", *sys.modules)
    """
    command = [sys.executable, "-I", "-S", "-c", program, str(servers.parents[2])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    probe_modules, all_modules = (set(part.split()) for part in done.stdout.split("|"))
    assert not {"dataclasses", "typing", "pathlib", "omnitron.policy"} & probe_modules
    assert not {"pydantic", "yaml", "msgspec", "omnitron.definition", "omnitron.policy.model"} & all_modules
