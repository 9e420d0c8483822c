"""What the unit of a container runs: `python -m omnitron.programs.containers run|reload SETTINGS`.

It stays in the foreground as long as the container runs, hands on what that writes, says READY when it is healthy,
and ends as it ends. While the engine is away it waits and says so: that is no crash of the container's.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from omnitron.errors import OmnitronError
from omnitron.policy.codec import read
from omnitron.policy.server_specs import ContainerSpec
from omnitron.programs.containers import files
from omnitron.programs.containers.engine import CannotError, Container, EngineDownError, State
from omnitron.programs.containers.provision import provision
from omnitron.programs.secrets import credentials
from omnitron.supervision import notify

USAGE = "usage: python -m omnitron.programs.containers run|reload SETTINGS"
STARTING_S, RUNNING_S, ENGINE_S = 0.25, 1.0, 2.0
"""Time between two looks: while it starts, while it runs, and while the engine is away."""
EXTENSION_US = 30_000_000


class Runner:
    """Runs one container."""

    def __init__(self, container: Container, spec: ContainerSpec) -> None:
        self._container = container
        self._spec = spec
        self._startup_s = spec.startup_timeout / 1000
        self._asked_to_end = threading.Event()
        self._is_ready = False
        self._since = time.time()

    def end(self, number: int, frame: FrameType | None) -> None:
        """Ask it to end (a signal handler)."""
        self._asked_to_end.set()

    def abort(self, number: int, frame: FrameType | None) -> None:
        """End at once, and the container with it: an outside check has found that it does not answer."""
        threading.Thread(target=self._abort).start()

    def _abort(self) -> None:
        try:
            self._container.kill()
        finally:
            os._exit(128 + signal.SIGABRT)

    def run(self) -> int:
        """Run it until it ends, or somebody asks it to; an exit status."""
        threading.Thread(target=self._ask_for_time, daemon=True).start()
        while not self._asked_to_end.is_set():
            try:
                status = self._run()
            except EngineDownError as error:
                self._say(f"the container engine does not answer ({error}); waiting for it")
                self._asked_to_end.wait(ENGINE_S)
                continue
            if status is not None:
                return status
        try:
            self._container.stop()
            if not self._spec.is_kept:
                self._container.remove(volumes=False)
        except EngineDownError as error:
            print(f"cannot stop the container {self._container.name}: the engine does not answer ({error})")
        return 0

    def _run(self) -> int | None:
        """Have it run, and return its exit status once it has ended; None when somebody asked it to end."""
        self._say(f"starting the container {self._container.name}")
        self._container.start()
        _note(self._spec)
        began = time.monotonic()
        threading.Thread(target=self._hand_on, args=(self._since,), daemon=True).start()
        self._since = time.time()
        while not self._asked_to_end.wait(RUNNING_S if self._is_ready else STARTING_S):
            state = self._container.state()
            if state.status != "running":
                # An engine that is going down ends its containers first: that is not their crash.
                if self._asked_to_end.wait(ENGINE_S):
                    return None
                state = self._container.state()
            if state.status == "gone":
                raise CannotError(f"the container {self._container.name} was removed")
            if state.status != "running":
                return self._ended(state)
            if state.health == "unhealthy":
                self._container.kill()
                raise CannotError(f"the container {self._container.name} is unhealthy, says its own check")
            if not self._is_ready and state.health in ("", "healthy"):
                self._provision()
                self._is_ready = True
                notify.send("READY=1", f"STATUS=the container {self._container.name} runs")
            if not self._is_ready and time.monotonic() - began > self._startup_s:
                self._container.stop()
                raise CannotError(f"the container {self._container.name} was not healthy in {self._startup_s:g} s")
        return None

    def _provision(self) -> None:
        """Make what the server is to have; where that cannot be, it does not run on without."""
        try:
            if done := provision(self._container, self._spec):
                print(done)
        except (CannotError, credentials.MissingError):
            self._container.stop()
            raise

    def _ended(self, state: State) -> int:
        print(f"the container {self._container.name} has ended with {state.exit_code} {state.error}".rstrip())
        return state.exit_code if 0 <= state.exit_code < 256 else 1

    def _hand_on(self, since: float) -> None:
        """Pass on what the container writes; the journal has it then."""
        try:
            for chunk in self._container.log(since):
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
        except (EngineDownError, CannotError):
            return  # whoever looks at the container finds out, too

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr)
        notify.send(f"STATUS={text}")

    def _ask_for_time(self) -> None:
        """Keep systemd from ending the start while an image comes in, or the engine is away."""
        while not self._is_ready and not self._asked_to_end.is_set():
            notify.send(f"EXTEND_TIMEOUT_USEC={EXTENSION_US}")
            self._asked_to_end.wait(EXTENSION_US / 3e6)


def _reload(spec: ContainerSpec) -> int:
    """Have the container take over its configuration; an exit status."""
    container = Container(spec, {})
    try:
        container.put(files.archive(spec.files, again=True) or b"")
        status, output, errors = container.execute(list(spec.reload or ()), {})
    except (CannotError, EngineDownError, OSError) as error:
        status, output, errors = 1, "", str(error)
    print((output + errors).strip(), file=sys.stderr)
    if not status:
        _note(spec)
    return status


def _note(spec: ContainerSpec) -> None:
    """Leave a copy of the configuration that is in use, for whoever asks whether it is that of today."""
    if path := spec.configuration:
        (Path(os.environ["RUNTIME_DIRECTORY"]) / Path(path).name).write_bytes(Path(path).read_bytes())


def main(arguments: list[str]) -> int:
    """Run the container that the file on the command line describes."""
    if len(arguments) != 2 or arguments[0] not in ("run", "reload"):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        spec = read(arguments[1], ContainerSpec)
        if arguments[0] == "reload":
            return _reload(spec)
        container = Container(spec, credentials.environment(spec.environment), files.archive(spec.files))
        runner = Runner(container, spec)
        signal.signal(signal.SIGTERM, runner.end)
        signal.signal(signal.SIGINT, runner.end)
        signal.signal(signal.SIGABRT, runner.abort)
        return runner.run()
    except OmnitronError as error:
        print("; ".join(error.lines()), file=sys.stderr)
        return 1
    except (CannotError, credentials.MissingError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
