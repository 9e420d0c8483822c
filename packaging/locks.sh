#!/bin/sh
# Writes the files of packaging/locks anew, with the newest releases that pyproject.toml allows: `make locks`.
# One set for all of Python 3.11 and newer, with the hash of each file that may be installed.
#
#   build.txt   builds the others and this project: a build of its own would download what is not locked
#   venv.txt    the virtual environment of `make venv`, but for `omnitron run`
#   run.txt     what `omnitron run` adds: it needs a compiler
#   test.txt    venv.txt, and what the tests need
#   oldest.txt  the oldest releases that pyproject.toml allows, for `make test-oldest`
set -eu
cd "$(dirname "$0")/.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet --disable-pip-version-check uv

# No comments and no options in what is written: they would name this machine's paths and package sources.
compile() { # FILE ARGUMENT…
    file=$1
    shift
    "$tools/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file "$file" "$@"
}

# Each library in the same version wherever it is in more than one file.
compile "$tools/all.txt" pyproject.toml --all-extras --group build
lock() { # NAME ARGUMENT…
    name=$1
    shift
    compile "$tools/$name.txt" --constraints "$tools/all.txt" "$@"
    mv "$tools/$name.txt" "packaging/locks/$name.txt"
}
mkdir -p packaging/locks
lock build --group build
lock venv pyproject.toml --extra host --extra demo
"$tools/venv/bin/python" >"$tools/run.in" -c "
import tomllib
from pathlib import Path
print(*tomllib.loads(Path('pyproject.toml').read_text())['project']['optional-dependencies']['run'], sep='\n')"
lock run "$tools/run.in"
lock test pyproject.toml --extra host --extra demo --extra tracing --extra dev

# Each direct dependency at its lower bound, what those need in turn as new as can be: but typer 0.15 fails on the
# click that came after it, and Debian 13 has 8.1 beside it.
echo "click<8.2" >"$tools/bounds.in"
compile "$tools/oldest.txt" pyproject.toml --all-extras --group build --resolution lowest-direct \
    --constraints "$tools/bounds.in"
mv "$tools/oldest.txt" packaging/locks/oldest.txt
