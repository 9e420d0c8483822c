"""Generating for real: every version's own verifier, two projects, drop-ins, namespaces, reboots."""

from __future__ import annotations

import json

import pytest

from tests.support.everything import EVERYTHING, SLEEP
from tests.support.machines import Machine
from tests.support.projects import Make


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one"])
def test_the_systems_own_verifier_has_nothing_to_say(machine: Machine, make: Make, strategy: str) -> None:
    project = make(EVERYTHING, supervision={"strategy": strategy}, logging={"maxSize": "8mb"})
    project.omnitron("generate")
    units = machine.run("sh", "-c", f"ls -d /etc/systemd/system/{project.prefix}-*").stdout.split()
    # A template is verified as an instance of it.
    names = [unit.replace("@.", "@1.") for unit in units]
    done = machine.run("systemd-analyze", "verify", "--recursive-errors=yes", *names)
    assert done.stdout + done.stderr == ""
    assert len(units) > 12
    project.omnitron("up")


@pytest.mark.parametrize("version", ["252", "254", "257", "262"])
def test_generates_for_other_versions(machine: Machine, make: Make, version: str) -> None:
    project = make(EVERYTHING)
    project.omnitron("generate", "--systemd-version", version, "--root", f"/tmp/for-{version}-{project.prefix}")
    text = machine.read(f"/tmp/for-{version}-{project.prefix}/etc/systemd/system/{project.unit('plain')}")
    assert ("RestartMode=direct" in text) == (int(version) >= 254)


def test_generate_twice_writes_nothing(machine: Machine, make: Make) -> None:
    project = make(EVERYTHING)
    project.omnitron("generate")
    stamp = ["sh", "-c", f"stat -c '%n %Y.%y %i' /etc/systemd/system/{project.prefix}-* /etc/omnitron/*"]
    before = machine.run(*stamp).stdout
    reloads = len([e for e in machine.journal("init.scope") if "Reload" in e["MESSAGE"]])
    assert "nothing to do" in project.omnitron("generate").stdout
    assert project.omnitron("plan").returncode == 0
    assert machine.run(*stamp).stdout == before
    assert len([e for e in machine.journal("init.scope") if "Reload" in e["MESSAGE"]]) == reloads


def test_plan_says_what_would_change_and_up_does_it(machine: Machine, make: Make) -> None:
    apps = [{"name": name, "command": SLEEP} for name in ("same", "changed", "removed")]
    project = make(apps)
    project.omnitron("up")
    pids = {name: project.pid(name) for name in ("same", "changed", "removed")}
    project.define(
        [
            {"name": "same", "command": SLEEP},
            {"name": "changed", "command": ["sleep", "2000"]},
            {"name": "new", "command": SLEEP},
        ]
    )
    plan = project.omnitron("plan", "--json", check=False)
    assert plan.returncode == 2
    data = json.loads(plan.stdout)
    touched = {(one["verb"], one["unit"]) for one in data["services"]}
    verbs = {"restart": "changed", "stop": "removed", "start": "new"}
    assert touched == {(verb, project.unit(name)) for verb, name in verbs.items()}
    reasons = {one["path"].rpartition("/")[2]: one["reason"] for one in data["changes"]}
    assert reasons[project.unit("changed")] == "ExecStart changed"
    # generate stops nothing, and keeps the unit of what still runs
    project.omnitron("generate")
    assert project.state("removed") == "active"
    assert machine.show(project.unit("removed"), "LoadState") == "loaded"
    project.omnitron("up")
    assert project.pid("same") == pids["same"]
    assert project.pid("changed") not in (0, pids["changed"])
    assert project.state("new") == "active"
    assert machine.show(project.unit("removed"), "LoadState") == "not-found"
    assert project.omnitron("plan").returncode == 0


def test_a_new_prefix_takes_the_old_units_away(machine: Machine, make: Make) -> None:
    apps = [{"name": "a", "command": SLEEP}]
    project = make(apps)
    project.omnitron("up")
    old, unit = project.prefix, project.unit("a")
    project.prefix = project.definition["unitPrefix"] = f"{old}b"
    project.define(apps)
    plan = json.loads(project.omnitron("plan", "--json", check=False).stdout)
    assert [one["verb"] for one in plan["services"] if one["unit"] == unit] == ["stop"]
    project.omnitron("up")
    assert project.state("a") == "active"
    assert not machine.systemctl("list-units", "--all", "--plain", "--no-legend", f"{old}-*")
    assert project.omnitron("plan").returncode == 0


def test_an_operators_drop_in_survives(machine: Machine, make: Make) -> None:
    project = make([{"name": "app", "command": SLEEP}])
    project.omnitron("generate")
    drop_in = f"/etc/systemd/system/{project.unit('app')}.d/override.conf"
    machine.write(drop_in, "[Service]\nNice=7\n")
    project.define([{"name": "app", "command": ["sleep", "2000"]}])
    project.omnitron("up")
    assert machine.show(project.unit("app"), "Nice") == "7"
    project.omnitron("down", "--remove")
    assert "Nice=7" in machine.read(drop_in)
    machine.run("rm", "-r", f"/etc/systemd/system/{project.unit('app')}.d")


def test_another_projects_units_are_not_touched(machine: Machine, make: Make) -> None:
    first, second = make([{"name": "app", "command": SLEEP}]), make([{"name": "app", "command": ["sleep", "2"]}])
    first.omnitron("generate")
    text = machine.read(f"/etc/systemd/system/{first.unit('app')}")
    second.definition["unitPrefix"] = first.prefix
    second.define([{"name": "app", "command": ["sleep", "2"]}])
    refused = second.omnitron("generate", check=False)
    assert refused.returncode == 1
    assert first.folder in refused.stderr and "unitPrefix" in refused.stderr
    assert machine.read(f"/etc/systemd/system/{first.unit('app')}") == text


def test_a_journal_namespace_with_limits(machine: Machine, make: Make) -> None:
    app = {"name": "app", "command": ["sh", "-c", "echo in the namespace; exec sleep 99"]}
    project = make([app], logging={"maxSize": "8mb", "maxFiles": 3, "compress": False})
    up = project.omnitron("up")
    namespace = f"{project.prefix}-dev"
    assert f"journalctl --namespace={namespace}" in up.stdout
    text = machine.read(f"/etc/systemd/journald@{namespace}.conf.d/omnitron.conf")
    assert "SystemMaxFileSize=8388608" in text and "SystemMaxFiles=3" in text and "Compress=no" in text
    assert machine.show(project.unit("app"), "LogNamespace") == namespace
    read = ["journalctl", f"--namespace={namespace}", "--no-pager", "-o", "cat"]
    machine.wait(lambda: "in the namespace" in machine.run(*read, check=False).stdout, 10, "the line is there")
    machine.wait(lambda: "in the namespace" in project.omnitron("logs", "app").stdout, 10, "logs shows it too")


def test_enabled_stacks_come_back_after_a_reboot(machine: Machine, make: Make) -> None:
    project = make([{"name": "app", "command": SLEEP}])
    project.omnitron("generate")
    project.omnitron("enable")
    assert machine.systemctl("is-enabled", project.target).strip() == "enabled"
    wanted = machine.systemctl("list-dependencies", "--plain", "--no-legend", "multi-user.target")
    assert project.target in wanted
    # What a boot does: multi-user.target pulls it in.
    machine.systemctl("start", "--no-block", "multi-user.target")
    machine.wait(lambda: project.state("app") == "active", 20, "the boot target started it")
    project.omnitron("disable")
    assert machine.systemctl("is-enabled", project.target, check=False).strip() == "disabled"
    machine.systemctl("isolate", "basic.target", check=False)


def test_killed_during_generate(machine: Machine, make: Make) -> None:
    """SIGKILL at random moments; the next verb leaves a complete set, and systemd knows it."""
    apps = [{"name": f"app{number}", "command": SLEEP} for number in range(30)]
    project = make(apps)
    project.omnitron("generate")
    code = " ".join(machine.python[1:3])
    for number, delay in enumerate((0.15, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7)):
        version = [{**app, "command": ["sleep", str(2000 + number)]} for app in apps]
        project.define(version)
        interpreter = machine.python[-1]
        machine.run(
            "sh",
            "-c",
            f"cd {project.folder}; timeout -s KILL {delay} env {code} {interpreter} -m omnitron generate",
            check=False,
        )
        project.omnitron("validate")
        machine.omnitron("doctor", check=False, cwd=project.folder)
        project.omnitron("generate")
        texts = machine.run("sh", "-c", f"grep -h ^ExecStart= /etc/systemd/system/{project.prefix}-*").stdout.split(
            "\n"
        )
        assert {text for text in texts if text} == {f"ExecStart=sleep {2000 + number}"}
        leftovers = machine.run("sh", "-c", "ls -a /etc/systemd/system | grep staged", check=False).stdout
        assert leftovers == ""
        need = machine.show(project.unit("app3"), "NeedDaemonReload")
        assert need == "no"


def test_a_lost_manifest_is_found_again(machine: Machine, make: Make) -> None:
    """Our files say where they come from; somebody else's are still refused."""
    project = make([{"name": "app", "command": SLEEP}])
    project.omnitron("generate")
    manifest = f"/var/lib/omnitron/.installed/{project.prefix}-dev.json"
    for loss in (["rm", manifest], ["sh", "-c", f"echo '{{' >{manifest}; mv {manifest} {manifest}.broken"]):
        machine.run(*loss)
        project.omnitron("generate")
        assert project.omnitron("plan").returncode == 0
        assert machine.run("test", "-s", manifest, check=False).returncode == 0
    machine.run("rm", manifest)
    machine.write(f"/etc/systemd/system/{project.unit('app')}", "[Service]\nExecStart=/bin/true\n")
    refused = project.omnitron("generate", check=False)
    assert refused.returncode == 1
    assert "omnitron did not write the existing file" in refused.stderr
    machine.run("rm", f"/etc/systemd/system/{project.unit('app')}")


def test_a_damaged_journal_is_named(machine: Machine, make: Make) -> None:
    project = make([{"name": "app", "command": SLEEP}])
    journal = f"/var/lib/omnitron/.installed/{project.prefix}-dev.journal"
    for text in ("garbage{", "{}", "[]", '{"renames": 1, "removes": 2}', '{"renames": [["x"]], "removes": []}', ""):
        machine.write(journal, text)
        refused = project.omnitron("generate", check=False)
        assert refused.returncode == 1
        assert f"{journal} is damaged" in refused.stderr and "mv " in refused.stderr
    machine.run("rm", journal)
    project.omnitron("generate")


def test_what_is_not_roots_is_refused_before_anything_is_read_or_written(machine: Machine, make: Make) -> None:
    project = make([{"name": "app", "command": SLEEP}])
    file, bootstrap = f"{project.folder}/omnitron.config.json", f"{project.folder}/bootstrap.json"

    def refused(path: str, owner: str) -> None:
        machine.run("chown", owner, path)
        for verb in ("validate", "plan", "generate", "up"):
            done = project.omnitron(verb, check=False)
            assert done.returncode == 5, done
            assert f"belongs to {owner} (mode" in done.stderr and "omnitron trust" in done.stderr
        assert machine.run("sh", "-c", f"ls /etc/systemd/system/{project.prefix}-*", check=False).stdout == ""
        machine.run("chown", "root", path)

    refused(file, "www-data")
    project.write("bootstrap.json", json.dumps({"name": "app", "processes": [{"name": "one", "command": SLEEP}]}))
    project.define([{"name": "app", "bootstrap": "bootstrap.json"}])
    refused(bootstrap, "www-data")
    refused(project.folder, "games")


def test_names_of_the_distribution_are_taken(machine: Machine, make: Make) -> None:
    project = make([{"name": "app", "command": SLEEP}])

    def refused() -> str:
        project.define([{"name": "app", "command": SLEEP}])
        return project.omnitron("generate", check=False).stderr

    project.definition["unitPrefix"] = "systemd"
    assert "cannot use the prefix 'systemd': units of the distribution have it" in refused()
    project.definition |= {"unitPrefix": "multi", "stacks": {"user": {"type": "local"}}}
    assert "multi-user.target: the distribution has one of that name" in refused()
