from omnitron import define_ecosystem

LISTENS = {"http": {"port": 3000}}

ecosystem = define_ecosystem(
    project="shop",
    apps=[
        dict(name="web", script="web.py", depends_on=["orders", "stock"], transports=LISTENS,
             health={"probe": {"type": "http", "target": "/healthz"}, "timeout": "2s"}),
        dict(name="orders", bootstrap="orders/bootstrap.yaml", depends_on=["stock"], env={"LEVEL": "entry"}),
        dict(name="stock", command=["/bin/sleep", "infinity"], startup_timeout="1min",
             health={"probe": {"type": "command", "command": "test -e /run/stock"}}),
        dict(name="report", command=["/bin/sleep", "infinity"], enabled=False),
    ],
    stacks={
        "dev": {"type": "local", "settings": {"logLevel": "debug", "env": {"MODE": "dev"}}},
        "prod-eu": {"type": "local", "apps": ["stock"], "settings": {"env": {"MODE": "prod"}}},
    },
)
