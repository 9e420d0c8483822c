"""Takes orders: each becomes a file in the state directory, where the packers find it."""

import os
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SPOOL = Path(os.environ["STATE_DIRECTORY"])


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        name = uuid.uuid4().hex
        length = min(int(self.headers.get("Content-Length", 0)), 4096)
        temporary = SPOOL / f"{name}.part"
        temporary.write_bytes(self.rfile.read(length))
        temporary.rename(SPOOL / f"{name}.order")
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


ThreadingHTTPServer(("127.0.0.1", 8483), Handler).serve_forever()
