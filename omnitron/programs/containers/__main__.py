"""The program of a container's unit: `python -m omnitron.programs.containers run|reload SETTINGS`.

It stays in the foreground while the container runs, passes on its output, reports READY when it is healthy, and
ends with its exit status. It waits for an engine that does not answer, which is not a crash of the container.
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
from omnitron.supervision import notify, status_line

USAGE = "usage: python -m omnitron.programs.containers run|reload SETTINGS"
STARTING_S, RUNNING_S, ENGINE_S = 0.25, 1.0, 2.0
"""Time between two checks of the state: during the start, while it runs, and while there is no engine."""
EXTENSION_US = 30_000_000


class Runner:
    """Runs one container."""

    def __init__(self, container: Container, spec: ContainerSpec) -> None:
        self._container = container
        self._spec = spec
        self._startup_s = spec.startup_timeout / 1000
        self._stop_requested = threading.Event()
        self._is_ready = False
        self._since = time.time()

    def end(self, number: int, frame: FrameType | None) -> None:
        """Request the end (a signal handler)."""
        self._stop_requested.set()

    def abort(self, number: int, frame: FrameType | None) -> None:
        """Kill the container and end at once: an outside check got no answer (a signal handler)."""
        threading.Thread(target=self._abort).start()

    def _abort(self) -> None:
        try:
            self._container.kill()
        finally:
            os._exit(128 + signal.SIGABRT)

    def run(self) -> int:
        """Run it until it ends or is to be stopped; return an exit status."""
        threading.Thread(target=self._ask_for_time, daemon=True).start()
        while not self._stop_requested.is_set():
            try:
                status = self._run()
            except EngineDownError as error:
                self._say(f"the container engine does not answer ({error}); waiting for it", "unhealthy")
                self._stop_requested.wait(ENGINE_S)
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
        """Start it, and return its exit status after its end; None when it is to be stopped."""
        self._say(f"starting the container {self._container.name}")
        self._container.start()
        _note(self._spec)
        began = time.monotonic()
        threading.Thread(target=self._hand_on, args=(self._since,), daemon=True).start()
        self._since = time.time()
        while not self._stop_requested.wait(RUNNING_S if self._is_ready else STARTING_S):
            state = self._container.state()
            if state.status != "running":
                # An engine that shuts down ends its containers first, which is not their crash: check again later.
                if self._stop_requested.wait(ENGINE_S):
                    return None
                state = self._container.state()
            if state.status == "gone":
                raise CannotError(f"the container {self._container.name} was removed")
            if state.status != "running":
                return self._ended(state)
            if state.health == "unhealthy":
                self._container.kill()
                raise CannotError(f"the container {self._container.name} is unhealthy by its own check")
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
        """Pass on the container's output, to the journal."""
        try:
            for chunk in self._container.log(since):
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
        except (EngineDownError, CannotError):
            return  # `_run` gets the same error and handles it

    def _say(self, text: str, state: status_line.State | None = None) -> None:
        print(text, file=sys.stderr)
        notify.send(f"STATUS={status_line.encode(state, text) if state else text}")

    def _ask_for_time(self) -> None:
        """Extend systemd's start timeout while an image is pulled, or there is no engine."""
        while not self._is_ready and not self._stop_requested.is_set():
            notify.send(f"EXTEND_TIMEOUT_USEC={EXTENSION_US}")
            self._stop_requested.wait(EXTENSION_US / 3e6)


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
