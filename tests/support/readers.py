"""The reader of a document: writes its files, types its commands on a machine, and compares what they print."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.documents import Command, File, line_pattern, matches, steps
from tests.support.machines import Machine

_STATE = "/run/reader"
# A shell for each command, as if it were one for all of them: folder and variables go from one to the next.
_SHELL = """\
exec 2>&1
cd "$(cat {state}/folder)" && . {state}/variables
PATH={state}/bin:$PATH
{command}
status=$?
pwd >{state}/folder; export -p >{state}/variables
exit $status
"""
_INTERRUPT_AFTER_S = 4
_KILL = re.compile(r"(?<=\bkill )(?P<option>-\w+ )?(?P<pid>\d+)")


@dataclass
class Reader:
    """Somebody at the terminal of a machine, with a document; `problems` are what it gets wrong.

    A command without output in the document may print anything, unless it is `strict`.
    """

    machine: Machine
    strict: bool = False
    problems: list[str] = field(default_factory=list)
    _numbers: dict[str, str] = field(default_factory=dict)

    def read(self, path: Path, name: str, folder: str) -> list[tuple[Command, list[str]]]:
        """Follow a document, beginning in `folder`; return the commands whose output is not what it shows."""
        self.machine.run("mkdir", "-p", f"{_STATE}/bin", folder)
        # The installation of the machine, under the name that a reader types.
        self.machine.write(
            f"{_STATE}/bin/omnitron", f'#!/bin/sh\nexec {shlex.join(self.machine.python)} -m omnitron "$@"\n'
        )
        self.machine.run("chmod", "755", f"{_STATE}/bin/omnitron")
        self.machine.write(f"{_STATE}/folder", folder)
        self.machine.write(f"{_STATE}/variables", "")
        self._numbers.clear()
        different = []
        for step in steps(path.read_text()):
            if isinstance(step, File):
                self.machine.write(self._inside(step.name), step.text)
                continue
            printed = self._type(step, f"{name}:{step.line}")
            if matches(step.output, printed) or not (step.output or self.strict):
                self._note_numbers(step.output, printed)
            else:
                different.append((step, printed))
                lines = "\n".join(f"    {line}" for line in printed)
                self.problems.append(f"{name}:{step.line}: `{step.text}` prints something else:\n{lines}")
        return different

    def _inside(self, name: str) -> str:
        folder = self.machine.read(f"{_STATE}/folder").strip()
        return str(Path(folder) / name)

    def _type(self, command: Command, place: str) -> list[str]:
        text = _KILL.sub(
            lambda kill: (kill["option"] or "") + self._numbers.get(kill["pid"], kill["pid"]), command.text
        )
        script = _SHELL.format(state=_STATE, command=text)
        argv = ["bash", "-c", script]
        if command.interrupted:
            argv = ["timeout", "--signal=INT", str(_INTERRUPT_AFTER_S), *argv]
        done = self.machine.run(*argv, check=False)
        if not command.interrupted and done.returncode != command.status:
            problem = f"{place}: `{command.text}`: exit status {done.returncode}, not {command.status}"
            self.problems.append(f"{problem}\n{done.stdout}")
        return [line.rstrip() for line in done.stdout.splitlines()]

    def _note_numbers(self, shown: list[str], printed: list[str]) -> None:
        """Remember what stands in the place of a number that the document shows: a PID to kill later, say."""
        for line in shown:
            same = next((other for other in printed if line_pattern(line).fullmatch(other.strip())), "")
            for word, other in zip(line.split(), same.split(), strict=False):
                if word.isdigit() and other.isdigit():
                    self._numbers[word] = other
