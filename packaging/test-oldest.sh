#!/bin/sh
# Runs the unit and golden tests on the oldest libraries that pyproject.toml allows, in an environment that is
# removed afterwards: `make test-oldest`. Arguments go to pytest, tests/unit by default.
# Python 3.11 where there is one: the oldest releases have wheels for it, not for each newer Python.
set -eu
cd "$(dirname "$0")/.."

python=/usr/bin/python3.11
[ -x "$python" ] || python=$(command -v python3.11 || command -v python3)
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
chmod 755 "$venv" # some tests run its interpreter as another user
"$python" -m venv "$venv"
install() { "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install --require-hashes --requirement packaging/locks/build.txt
install --require-hashes --no-build-isolation --requirement packaging/locks/oldest.txt
install --no-deps --no-build-isolation --editable .
[ $# -gt 0 ] || set -- tests/unit
# Format, types and the pages written from `--help` are as the newest tools and libraries have them: `make test`.
"$venv/bin/pytest" --numprocesses 2 --dist worksteal "$@" \
    --deselect tests/unit/test_linters.py::test_format \
    --deselect tests/unit/test_linters.py::test_lint \
    --deselect tests/unit/test_linters.py::test_types \
    --deselect tests/unit/test_linters.py::test_generated_pages_are_fresh
