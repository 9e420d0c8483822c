"""Evaluates a configuration file written in JavaScript: with node, in a process of its own, as the file's owner."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from omnitron.authority import files
from omnitron.definition.python import isolation
from omnitron.definition.source import KeyPath, Source, read_text
from omnitron.errors import DefinitionError, Problem

SCRIPT = r"""
const fs = require('fs');
const [file, descriptor] = process.argv.slice(1);
const answer = (value) => {
  const bytes = Buffer.from(JSON.stringify(value));
  for (let at = 0; at < bytes.length; at += fs.writeSync(Number(descriptor), bytes, at));
  process.exit(0);
};
const plain = (key, value) =>
  typeof value === 'function' || typeof value === 'symbol' ? `[${typeof value}]`
    : typeof value === 'bigint' ? String(value) : value;
import(require('url').pathToFileURL(file).href).then((module) => {
  let data = module.default === undefined ? { ...module } : module.default;
  if (data && data.__esModule && data.default) data = data.default;
  answer({ data: JSON.parse(JSON.stringify(data, plain) ?? 'null'), line: 0 });
}).catch((error) => {
  const stack = String((error && error.stack) || '');
  const name = (error && error.name) || 'error';
  answer({ error: `${name}: ${(error && error.message) || error}`, stack, line: 0 });
});
"""
HINT = (
    "install nodejs; or, on a host with node: "
    "node -p 'JSON.stringify(require(\"./{name}\"))' > ecosystem.json, and import that file"
)


def read(path: Path, *, timeout_s: float = isolation.TIMEOUT_S) -> Source:
    """Return the export of the file at `path`; raises DefinitionError when it does not load, hangs or exits."""
    text, owner = read_text(path)
    node = shutil.which("node")
    if node is None:
        hint = HINT.format(name=path.name)
        raise DefinitionError([Problem(str(path), 0, "", "cannot evaluate: there is no node on this host", hint)])
    files.check_written_by_owner(path.absolute(), owner)
    command = [node, "--input-type=commonjs", "-e", SCRIPT, "--", str(path.absolute())]
    answer = isolation.ask(lambda pipe: [*command, str(pipe)], path.absolute(), owner, timeout_s=timeout_s)
    if "error" in answer:
        message = " ".join(str(answer["error"]).split())[:300]
        message = message if message.startswith("cannot ") else f"cannot evaluate: {message}"
        raise DefinitionError([Problem(str(path), _line_in(str(answer.get("stack")), path), "", message)])
    return Source(path, answer.get("data"), lambda keys: _locate(text, answer.get("data"), keys))


def _line_in(stack: str, path: Path) -> int:
    match = re.search(rf"{re.escape(str(path.absolute()))}:(\d{{1,6}})", stack)
    return int(match[1]) if match else 0


def _locate(text: str, data: Any, keys: KeyPath) -> int:
    """Return the line with the name of an app if the name occurs only once, else 0."""
    for key in keys:
        try:
            data = data[key]
        except (LookupError, TypeError):
            break
        if isinstance(data, dict) and isinstance(data.get("name"), str):
            named = re.compile(rf"\bname['\"]?\s*:\s*(['\"`]){re.escape(data['name'])}\1")
            matches = [match.start() for match in named.finditer(text)]
            return text.count("\n", 0, matches[0]) + 1 if len(matches) == 1 else 0
    return 0
