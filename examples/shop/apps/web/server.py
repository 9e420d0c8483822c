"""The page. It accepts on a socket that systemd holds and shares among the instances."""

import json
import os
import socket
import socketserver
import urllib.request
from http.server import BaseHTTPRequestHandler

FIRST_INHERITED = 3  # where systemd's sockets begin, see sd_listen_fds(3)


def ask(url: str) -> dict[str, int]:
    with urllib.request.urlopen(url, timeout=3) as answer:
        return json.load(answer)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        stock, prices = ask(os.environ["SHOP_STOCK"]), ask(os.environ["SHOP_PRICES"])
        lines = [f"{good:8} {stock[good]:3} left at {prices[good] / 100:.2f}" for good in stock]
        served = f"served by instance {os.environ['OMNITRON_INSTANCE']}"
        self.answer(200, "\n".join([os.environ["SHOP_NAME"], "", *lines, "", served, ""]))

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 4096))
        urllib.request.urlopen(os.environ["SHOP_ORDERS"], data=body, timeout=3).close()
        self.answer(202, "thank you\n")

    def answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=FIRST_INHERITED)


Server().serve_forever()
