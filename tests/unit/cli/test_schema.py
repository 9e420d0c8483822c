"""`omnitron schema`: what editors check a definition with."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("kind", "key"), [("ecosystem", "apps"), ("system", "processes")])
def test_a_file_has_a_schema(kind: str, key: str) -> None:
    command = [sys.executable, "-m", "omnitron", "schema", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert key in json.loads(done.stdout)["properties"]
