"""Configuration in JavaScript: evaluated in a process of its own, as the file's owner."""

import os
import time

import pytest

from omnitron.errors import DefinitionError, OmnitronError
from omnitron.importers import import_file
from omnitron.importers.host_files import Surroundings
from omnitron.importers.pm2 import javascript
from tests.support.folders import open_up

NOBODY = 65534


@pytest.fixture
def file(tmp_path):
    def write(text, name="ecosystem.config.js"):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    return write


def run(path):
    return import_file("pm2", path, Surroundings(path.parent, path.parent)).definition["apps"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ecosystem.config.js", "module.exports = {apps: [{name: 'a', script: 'x'}]}"),
        ("ecosystem.config.cjs", "console.log('noise'); exports.apps = [{name: 'a', script: ['x'].join('')}]"),
        ("ecosystem.config.mjs", "export default {apps: [{name: 'a', script: 'x'}]}"),
        ("ecosystem.config.mjs", "export const apps = [{name: 'a', script: 'x'}]"),
        ("x.js", "Object.assign(exports, {__esModule: true, default: {apps: [{name: 'a', script: 'x'}]}})"),
        ("x.js", "setInterval(() => 0, 1000); module.exports = {apps: [{name: 'a', script: 'x', f() {}, n: 1n}]}"),
        ("-x.js", "module.exports = require('./other.json')"),
    ],
)
def test_what_a_file_exports(file, name, text):
    file('{"apps": [{"name": "a", "script": "x"}]}', "other.json")
    assert [app["name"] for app in run(file(text, name))] == ["a"]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", 1, "no apps"),
        ("module.exports = null", 0, "neither a mapping"),
        ("module.exports = () => 1", 0, "neither a mapping"),
        ("\nmodule.exports = {{", 2, "cannot evaluate: SyntaxError"),
        ("\n\nthrow new Error('broken\\nhere')", 3, "cannot evaluate: Error: broken here"),
        ("throw null", 0, "cannot evaluate: error: null"),
        ("require('./nope')", 1, "Cannot find module"),
        ("process.exit(0)", 0, "ended with status 0 before"),
        ("process.kill(process.pid, 9)", 0, "killed by signal 9"),
        ("const a = {}; a.a = a; module.exports = a", 0, "circular"),
        ("module.exports = 'x'.repeat(9 << 20)", 0, "more than 8 MiB"),
    ],
)
def test_what_it_cannot_be(file, text, line, why):
    with pytest.raises(DefinitionError, match=why) as caught:
        run(file(text))
    assert caught.value.problems[0].line in (line, 0, 1)


@pytest.mark.parametrize(
    "text",
    [
        "while (true);",
        "require('child_process').spawn('sleep', ['77'], {stdio: 'inherit'}); setInterval(() => 0, 9); while (true);",
    ],
)
def test_a_file_that_hangs_is_ended_with_what_it_started(file, text):
    start = time.monotonic()
    with pytest.raises(DefinitionError, match=r"did not finish within 0\.5 s"):
        javascript.read(file(text), timeout_s=0.5)
    assert time.monotonic() - start < 5


def test_lines_are_those_of_the_app_s_name(file):
    text = (
        "const n = 1;\nmodule.exports = {apps: [\n{name: 'a', script: 'x', odd: n},\n{name: `b`, script: 'x', odd: n}]}"
    )
    path = file(text)
    around = Surroundings(path.parent, path.parent)
    assert [warning.line for warning in import_file("pm2", path, around).warnings] == [3, 4]


def test_without_node_the_cure_is_named(file, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DefinitionError, match=r"there is no node on this host \(install nodejs; or"):
        run(file("module.exports = {}"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
def test_root_runs_it_as_its_owner(file, tmp_path):
    path = file("module.exports = {apps: [{name: 'u' + process.getuid() + process.env.HOME.length, script: 'x'}]}")
    open_up(tmp_path)
    tmp_path.chmod(0o755)
    os.chown(path, NOBODY, NOBODY)
    assert [app["name"] for app in run(path)] == ["u65534" + str(len(os.path.expanduser("~nobody")))]  # noqa: PTH111


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_root_does_not_run_what_others_can_write(file, mode):
    path = file("require('fs').writeFileSync('ran', '')")
    path.chmod(mode)
    with pytest.raises(OmnitronError, match="can be written by") as caught:
        run(path)
    assert caught.value.exit_code == 5
    assert not (path.parent / "ran").exists()
