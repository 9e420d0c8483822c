"""Files that are nothing of the sort: one clear error, whatever they are."""

import os

import pytest

from omnitron.errors import DefinitionError
from omnitron.importers import import_file
from omnitron.importers.host_files import Surroundings

YAML = [("compose", ".yaml"), ("pm2", ".yaml")]
DATA = [*YAML, ("pm2", ".json")]
ALL = [*DATA, ("procfile", "")]
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
LONG = f"x: &x {'a' * 200_000}\nservices: {{a: {{command: [{','.join(['*x'] * 100)}]}}}}\n"
CASES = [
    (ALL, b"", "cannot import|cannot parse"),
    (ALL, b"\n\n \n", "cannot import|cannot parse"),
    (ALL, b"\x7fELF\0\0", "a binary file"),
    (ALL, b"web: caf\xe9", "not UTF-8"),
    (DATA, b"a: x\n" * (2 << 20), "larger than 4 MiB"),
    (ALL, b"#" * (10 << 20), "larger than 4 MiB"),
    (DATA, b"- 1\n- {a: [}\n", "cannot parse"),
    (DATA, b"[" * 5000, "nested too deeply"),
    (YAML, b"a: &a [*a]", "an alias that contains itself"),
    (YAML, b"a: &a {<<: *a}", "an alias that contains itself"),
    (YAML, LAUGHS.encode(), "more than 200000 values"),
    (YAML, LONG.encode(), "come to more than 16 MiB"),
    (YAML, b"!!python/object/apply:os.system [id]", "cannot import|cannot be text"),
    (YAML, b"a: 1\n---\nb: 1\n", "cannot parse"),
    (YAML, b"web: 1\nweb: 2\n", "twice"),
    (YAML, b"just text", "cannot import"),
    ([("procfile", "")], b"web: 1\nweb: 2\n", "twice: it is in line 1 too"),
    ([("procfile", "")], b"# nothing\nno process\n", "there is no process in it"),
]


@pytest.mark.parametrize(
    ("tool", "suffix", "content", "why"),
    [(tool, suffix, content, why) for tools, content, why in CASES for tool, suffix in tools],
    ids=lambda value: str(value)[:20],
)
def test_awful_content(tmp_path, tool, suffix, content, why):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    with pytest.raises(DefinitionError, match=why) as caught:
        import_file(tool, path, Surroundings(tmp_path, tmp_path))
    assert caught.value.exit_code == 3
    assert len(caught.value.lines()) == 1


@pytest.mark.parametrize("tool", ["compose", "pm2", "procfile"])
def test_what_is_no_file(tmp_path, tool):
    (tmp_path / "folder.js").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    names = {"gone": "no such file", "folder.js": "a directory", "pipe.yaml": "not a regular", "x" * 300: "too long"}
    for name, why in names.items():
        with pytest.raises(DefinitionError, match=f"cannot read: .*{why}"):
            import_file(tool, tmp_path / name, Surroundings(tmp_path, tmp_path))
