"""A definition that makes units of every kind."""

from __future__ import annotations

SLEEP = ["sleep", "1000"]

EVERYTHING = [
    {
        "name": "core",
        "command": ["sleep", "99"],
        "critical": True,
        "health": {"probe": {"type": "command", "command": "true"}},
        "limits": {"memoryMax": "64mb"},
        "paths": {"state": True},
    },
    {"name": "plain", "command": SLEEP, "dependsOn": ["core"], "hardening": "off"},
    {"name": "standard", "command": SLEEP, "dependsOn": ["plain"], "hardening": "standard", "user": "dynamic"},
    {
        "name": "pool",
        "command": ["sh", "-c", 'echo 100% $HOME "quoted"; exec sleep 1000'],
        "instances": 2,
        "env": {"A": '100% "$x"\nline'},
        "transports": {"http": {"port": 8951, "host": "127.0.0.1", "socketActivation": True}},
    },
    {"name": "once", "command": ["true"], "restartPolicy": {"enabled": False}},
    {"name": "fast", "command": SLEEP, "restartPolicy": {"backoff": {"initial": 0}}},
]
