"""Runs one process of a bootstrap app, under the service that `generate` made for it."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import sys
from pathlib import Path

from omnitron.errors import OmnitronError
from omnitron.host import failure
from omnitron.host.process import Process, TraceFilter
from omnitron.host.telemetry import logging as logs
from omnitron.names import EXIT_MESSAGE_ID
from omnitron.policy.codec import read
from omnitron.policy.host_spec import HostSpec
from omnitron.programs.secrets import credentials


def main() -> int:
    """Run the process that the file on the command line describes; return its exit status."""
    if len(sys.argv) != 2:
        print("usage: python -m omnitron.host SPEC\nSPEC is a file that `omnitron generate` writes", file=sys.stderr)
        return 2
    # systemd's watchdog ends a hanging process with SIGABRT: faulthandler then prints where it was.
    faulthandler.enable()
    try:
        spec = read(sys.argv[1], HostSpec)
    except OmnitronError as error:
        return _end("; ".join(error.lines()))
    logs.configure(
        spec.log_level,
        spec.log_format,
        SYSLOG_IDENTIFIER=spec.identifier,
        OMNITRON_STACK=spec.stack,
        OMNITRON_APP=spec.app,
        OMNITRON_PROCESS=spec.process,
    )
    try:
        os.environ.update(credentials.environment(spec.secrets))
    except credentials.MissingError as error:
        return _end(str(error), SYSLOG_IDENTIFIER=spec.identifier)
    for handler in logging.getLogger().handlers:
        handler.addFilter(TraceFilter())
    try:
        return asyncio.run(Process(spec).run())
    except failure.FailureError as error:
        ended = error
    except (Exception, SystemExit) as error:
        ended = failure.FailureError("continue", error)
    logging.getLogger(__name__).debug("traceback of the failure", exc_info=ended.cause)
    return _end(ended.sentence([Path(folder) for folder in spec.folders]), SYSLOG_IDENTIFIER=spec.identifier)


def _end(sentence: str, **fields: str) -> int:
    logs.notice(sentence, message_id=EXIT_MESSAGE_ID, **fields)
    return 1
