"""The example, as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machines import Machine

# Hidden from units, and neither plain ASCII nor one word.
SHOP = "/var/tmp/ü x/shop"
PAGE = "http://127.0.0.1:8480/"
GATEWAY = "http://127.0.0.1:8488/api/web/"
LISTEN = """\
import json, subprocess
from websockets.sync.client import connect
with connect("ws://127.0.0.1:8484/feed") as feed:
    feed.send('{"jsonrpc":"2.0","id":1,"method":"rpc.subscribe","params":{"topic":"sold"}}')
    feed.recv()
    subprocess.run(["curl", "-s", "-d", "3 apples", "http://127.0.0.1:8480/"], check=True, stdout=subprocess.DEVNULL)
    print(json.dumps(json.loads(feed.recv(timeout=5))["params"]))
"""


@pytest.fixture
def shop(machine: Machine) -> Iterator[Machine]:
    machine.run("mkdir", "-p", str(Path(SHOP).parent))
    machine.run("cp", "-r", str(machine.code / "examples/shop"), SHOP)
    yield machine
    machine.omnitron("down", "--remove", cwd=SHOP, check=False)
    machine.run("rm", "-rf", SHOP, "/var/lib/omnitron/dev", "/etc/omnitron/secrets/omnitron-dev")


def test_the_shop_sells(shop: Machine) -> None:
    shop.omnitron("up", cwd=SHOP)
    assert "apple     40 left at 0.60" in shop.run("curl", "-s", PAGE).stdout
    sold = json.loads(shop.run(shop.python[-1], "-c", LISTEN).stdout)
    assert sold["topic"] == "sold" and sold["data"]["good"] == "apple" and sold["data"]["left"] == 37
    assert "sorry, there are only 12 of bread" in shop.run("curl", "-s", "-d", "13 breads", PAGE).stdout
    assert json.loads(shop.omnitron("exec", "web", "Shop", "goods", cwd=SHOP).stdout)["apple"]["left"] == 37
    delivery = "http://127.0.0.1:8485/stock/apple/5"
    assert "401" in shop.run("curl", "-si", "-X", "POST", delivery).stdout.splitlines()[0]
    sign = Path(SHOP) / "apps/web/sign.py"
    for role, status in (("clerk", "403"), ("manager", "200")):
        token = shop.run(shop.python[-1], str(sign), role).stdout.strip()
        answer = shop.run("curl", "-si", "-X", "POST", "-H", f"Authorization: Bearer {token}", delivery).stdout
        assert status in answer.splitlines()[0]
    assert "apple     42 left" in shop.run("curl", "-s", PAGE).stdout
    # Through the gateway to a worker of the pool, its database and back; what is sold outlives a crash of that.
    assert "has packed it" in shop.run("curl", "-s", "-d", "2 apples", GATEWAY).stdout
    shop.systemctl("kill", "--signal=KILL", "omnitron-dev-infra-postgres.service")
    shop.wait(lambda: "apple     40 left" in shop.run("curl", "-s", GATEWAY).stdout, 20, "the database is back")
    visitors = [shop.run("curl", "-s", GATEWAY).stdout.partition("visitor ")[2].partition(",")[0] for _ in range(2)]
    assert int(visitors[1]) == int(visitors[0]) + 1
