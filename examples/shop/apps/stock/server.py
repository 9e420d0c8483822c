"""What is in stock. The shop cannot do without it."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STOCK = {"apple": 40, "bread": 12, "cheese": 7}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"ok" if self.path == "/health" else json.dumps(STOCK).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


print(f"{len(STOCK)} goods in stock")
ThreadingHTTPServer(("127.0.0.1", 8481), Handler).serve_forever()
