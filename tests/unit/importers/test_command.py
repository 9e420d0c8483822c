"""`omnitron import` from outside: what it prints and writes, and how it fails."""

import json
import os
import subprocess
import sys

import pytest

SERVICES = "services: {web: {command: run, tty: true}}\n"
AWFUL = {"binary": b"\x7fELF\0\0", "loop": b"a: &a [*a]", "empty": b""}


@pytest.fixture
def omnitron(tmp_path):
    def run(*arguments, status=0, **environ):
        variables = {key: value for key, value in os.environ.items() if not key.startswith("OMNITRON")} | environ
        command = [sys.executable, "-m", "omnitron", *map(str, arguments)]
        result = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert "Traceback" not in result.stderr
        assert result.returncode == status, result.stderr
        return result

    return run


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "compose.yaml"
    path.write_text(SERVICES)
    return path


def test_the_definition_on_stdout_and_warnings_on_stderr(omnitron, source):
    result = omnitron("import", "compose", "compose.yaml")
    assert "\n  - name: web\n    command: [run]\n" in result.stdout
    assert result.stdout.endswith("cannot be carried over: an app has no terminal\n")
    assert (
        result.stderr == "warning: compose.yaml:1: services.web.tty: cannot be carried over: an app has no terminal\n"
    )


def test_what_is_written_is_valid(omnitron, source, tmp_path):
    result = omnitron("import", "compose", source, "--output", "omnitron.config.yaml", "--project", "mine")
    assert result.stdout.startswith("wrote omnitron.config.yaml (1 apps, 1 warnings)\n")
    assert ("each app must name its user" in result.stdout) == (os.geteuid() == 0)
    assert "\nnext: omnitron validate" in result.stdout
    assert ": valid (1 app; stacks: dev)" in omnitron("validate", "--user").stdout
    assert "project: mine\n" in (tmp_path / "omnitron.config.yaml").read_text()


def test_a_file_is_replaced_only_with_force(omnitron, source, tmp_path):
    target = tmp_path / "out.yaml"
    target.write_text("precious")
    result = omnitron("import", "compose", source, "-o", target, status=1)
    assert "is there already" in result.stderr
    assert "--force" in result.stderr
    assert target.read_text() == "precious"
    omnitron("import", "compose", source, "-o", target, "--force")
    assert "name: web" in target.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compose.yaml", "out.yaml"]


def test_a_file_keeps_the_secrecy_of_its_sources(omnitron, tmp_path):
    (tmp_path / "Procfile").write_text("web: x")
    omnitron("import", "procfile", "Procfile", "-o", "open.yaml")
    (tmp_path / ".env").write_text("PASSWORD=x")
    (tmp_path / ".env").chmod(0o600)
    omnitron("import", "procfile", "Procfile", "-o", "secret.yaml")
    assert (tmp_path / "open.yaml").stat().st_mode & 0o077 == 0o066 & ~_umask()
    assert (tmp_path / "secret.yaml").stat().st_mode & 0o077 == 0


def _umask():
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_json(omnitron, source):
    result = omnitron("import", "compose", source, "--json")
    answer = json.loads(result.stdout)
    assert answer["definition"]["apps"][0]["name"] == "web"
    assert len(answer["warnings"]) == 1
    assert result.stderr == ""
    failed = omnitron("import", "compose", "nope.yaml", "--json", status=3)
    assert json.loads(failed.stderr)["exitCode"] == 3


@pytest.mark.parametrize("output", ["gone/x.yaml", ".", "/proc/nope.yaml"])
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_where_nothing_can_be_written(omnitron, source, output, force):
    result = omnitron("import", "compose", source, "--output", output, *force, status=1)
    assert "error: cannot write" in result.stderr


def test_a_project_that_is_no_name(omnitron, source):
    assert "cannot call the project 'a b'" in omnitron("import", "compose", source, "--project", "a b", status=2).stderr


@pytest.mark.parametrize(("tool", "name"), [("compose", "binary.yaml"), ("pm2", "loop.yaml"), ("procfile", "empty")])
def test_an_awful_file_is_one_line_and_status_3(omnitron, tmp_path, tool, name):
    (tmp_path / name).write_bytes(AWFUL[name.partition(".")[0]])
    result = omnitron("import", tool, name, status=3)
    assert result.stderr.startswith(f"error: {name}")
    assert result.stderr.count("\n") == 1


def test_a_env_file_that_is_none(omnitron, tmp_path):
    (tmp_path / "Procfile").write_text("web: x")
    (tmp_path / ".env").mkdir()
    omnitron("import", "procfile", "Procfile")
    (tmp_path / ".env").rmdir()
    (tmp_path / ".env").write_bytes(b"A=\xff")
    assert ".env:1: cannot read: not UTF-8" in omnitron("import", "procfile", "Procfile", status=3).stderr


def test_help_names_every_tool(omnitron):
    text = omnitron("import", "--help").stdout
    assert all(tool in text for tool in ("procfile", "compose", "pm2"))
