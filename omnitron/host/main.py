"""`python -m omnitron.host SPEC` runs one process of a bootstrap app, under the service that `generate` made for it."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import sys
from pathlib import Path

from omnitron.errors import OmnitronError
from omnitron.host import logs, reason
from omnitron.host.process import Process, TraceFilter
from omnitron.host.spec import Spec, read
from omnitron.names import EXIT_MESSAGE_ID


def main() -> int:
    """Run the process that the file on the command line describes; its exit status."""
    if len(sys.argv) != 2:
        print("usage: python -m omnitron.host SPEC\nSPEC is a file that `omnitron generate` writes", file=sys.stderr)
        return 2
    # systemd's watchdog ends a process that hangs with SIGABRT: this says where it hung.
    faulthandler.enable()
    try:
        spec = read(Path(sys.argv[1]))
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
    for handler in logging.getLogger().handlers:
        handler.addFilter(TraceFilter())
    return asyncio.run(_run(spec))


async def _run(spec: Spec) -> int:
    process = Process(spec)
    # What has been imported so far lives as long as the process: the collector need not look at it again.
    gc.freeze()
    try:
        return await process.run()
    except reason.FailureError as error:
        logging.getLogger(__name__).debug("this is where", exc_info=error.cause)
        return _end(error.sentence(process.folders), SYSLOG_IDENTIFIER=spec.identifier)


def _end(sentence: str, **fields: str) -> int:
    logs.notice(sentence, message_id=EXIT_MESSAGE_ID, **fields)
    return 1


if __name__ == "__main__":
    sys.exit(main())
