"""Clients that mean no good, against the process on PORT: `attack.py PORT WHAT`; prints JSON of what they saw."""

import asyncio
import collections
import json
import random
import sys
import time

PORT, WHAT = int(sys.argv[1]), sys.argv[2]


async def ask(message, patience=20):
    """Everything that comes back on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    try:
        writer.write(message)
        return await asyncio.wait_for(reader.read(), patience)
    except (ConnectionError, TimeoutError) as error:
        return type(error).__name__.encode()
    finally:
        writer.close()


def post(body, *headers):
    more = b"".join(header + b"\r\n" for header in headers)
    return (
        b"POST /rpc HTTP/1.1\r\nhost: x\r\nconnection: close\r\n%scontent-length: %d\r\n\r\n" % (more, len(body)) + body
    )


async def fuzz():
    """Damaged calls: bytes changed, cut off, repeated, nested."""
    chance = random.Random(int(sys.argv[3]))
    whole = b'{"jsonrpc":"2.0","id":1,"method":"Shop.add","params":[1,2]}'
    seen = collections.Counter()

    async def one():
        body = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(body) + 1)
            match chance.randrange(5):
                case 0:
                    body[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(9)))
                case 1:
                    del body[at : at + chance.randrange(9)]
                case 2:
                    body[at:at] = body[: chance.randrange(len(body) + 1)]
                case 3:
                    body[:0], body[len(body) :] = b"[" * 200, b"]" * 200
                case 4:
                    body[at:at] = chance.choice([b"null", b"1e999", b'"\\ud800"', b"-0", b"{}", b"9" * 400])
        answer = await ask(post(bytes(body)))
        status = answer[9:12].decode(errors="replace")
        content = answer.partition(b"\r\n\r\n")[2]
        codes = []
        if content:
            told = json.loads(content)
            codes = [one.get("error", {}).get("code") for one in (told if isinstance(told, list) else [told])]
            assert b"Traceback" not in content and b".py" not in content, content
        seen[f"{status} {sorted(map(str, set(codes)))}"] += 1

    for _ in range(int(sys.argv[4]) // 50):
        await asyncio.gather(*(one() for _ in range(50)))
    return seen


async def large():
    """Bodies of 100 MB, announced and not, side by side."""

    async def one(announced):
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        size = b"content-length: 104857600" if announced else b"transfer-encoding: chunked"
        writer.write(b"POST /rpc HTTP/1.1\r\nhost: x\r\n" + size + b"\r\n\r\n")
        block = b" " * (1 << 20)
        try:
            for _ in range(100):
                writer.write(block if announced else b"100000\r\n" + block + b"\r\n")
                await writer.drain()
        except ConnectionError:
            pass
        try:
            answer = await asyncio.wait_for(reader.read(), 20)
        except ConnectionError:
            answer = b"gone     413"
        writer.close()
        return answer[9:12].decode()

    return collections.Counter(await asyncio.gather(*(one(number % 2 == 0) for number in range(12))))


async def slow():
    """Heads that never end, a byte at a time, and connections that say nothing; meanwhile others are served."""
    waiting = []

    async def drip():
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        began = time.monotonic()
        ended = asyncio.create_task(reader.read())
        for byte in b"GET /hello/you HTTP/1.1\r\nhost: x\r\n" + b"x-more: y\r\n" * 1000:
            if ended.done():
                break
            try:
                writer.write(bytes([byte]))
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.wait([ended], timeout=0.1)
        try:
            answer = await asyncio.wait_for(ended, 20)
        except ConnectionError:
            answer = b""
        writer.close()
        return time.monotonic() - began, answer[9:12].decode()

    waiting = [asyncio.create_task(drip()) for _ in range(200)]
    await asyncio.sleep(0.5)
    began = time.monotonic()
    answers = [await ask(post(b'{"jsonrpc":"2.0","id":1,"method":"Shop.add","params":[1]}')) for _ in range(20)]
    served_s = time.monotonic() - began
    ends = await asyncio.gather(*waiting)
    return {
        "served": sum(b'"result":2' in answer for answer in answers),
        "servedSeconds": served_s,
        "longest": max(seconds for seconds, _ in ends),
        "answers": collections.Counter(answer for _, answer in ends),
    }


async def sockets():
    """WebSockets of clients that are gone without a word: they answer no ping. Returns how long each was kept."""
    key = b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(b"GET /feed HTTP/1.1\r\nhost: x\r\n" + key + b"sec-websocket-version: 13\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        began = time.monotonic()
        try:
            rest = await asyncio.wait_for(reader.read(), 20)
        except ConnectionError:
            rest = b""
        writer.close()
        return time.monotonic() - began, bool(rest) and rest[0] == 0x89

    ends = await asyncio.gather(*(one() for _ in range(20)))
    return {"longest": max(seconds for seconds, _ in ends), "pinged": sum(pinged for _, pinged in ends)}


print(json.dumps(asyncio.run(globals()[WHAT]())))
