"""A load on one HTTP port, from inside a machine: `load.py PORT REQUESTS CLIENTS keep|proxied|new [PATH]`; prints JSON.

Clients send one call after the other, each over one connection or over a new one each time, until all of them
together have REQUESTS answers. A failure is anything but a status of 200. A proxy that reloads may close an idle
connection just as a request is sent on it: `proxied` sends that again, as every HTTP client does.
"""

import asyncio
import collections
import json
import sys
import time

PORT, REQUESTS, CLIENTS, KEEP = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] != "new"
MAY_BE_CLOSED = sys.argv[4] == "proxied"
BODY = b'{"jsonrpc":"2.0","id":1,"method":"Shop.who"}'
END = b"\r\n" if KEEP else b"connection: close\r\n\r\n"
PATH = (sys.argv[5] if len(sys.argv) > 5 else "/rpc").encode()
MESSAGE = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n%s" % (PATH, len(BODY), END) + BODY

instances = collections.Counter()
failures = collections.Counter()
slowest = 0.0


async def client():
    global slowest
    streams, has_answered = None, False
    while instances.total() < REQUESTS:
        began = time.monotonic()
        try:
            reader, writer = streams = streams or await asyncio.open_connection("127.0.0.1", PORT)
            writer.write(MESSAGE)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
            answer = json.loads(await reader.readexactly(length))
            if head.startswith(b"http/1.1 200"):
                instances[str(answer["result"]["instance"])] += 1
            else:
                failures[head[:20].decode()] += 1
            has_answered = True
            if b"connection: close" in head:
                writer.close()
                streams, has_answered = None, False
        except asyncio.IncompleteReadError as error:
            if error.partial or not (has_answered and MAY_BE_CLOSED):
                failures[f"{type(error).__name__}: {error}"] += 1
            streams, has_answered = None, False
        except OSError as error:
            failures[f"{type(error).__name__}: {error}"] += 1
            streams, has_answered = None, False
        slowest = max(slowest, time.monotonic() - began)


async def main():
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    print(json.dumps({"instances": instances, "failures": failures, "slowest": slowest}))


asyncio.run(main())
