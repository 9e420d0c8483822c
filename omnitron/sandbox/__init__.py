"""Disposable machines with systemd, from the host's own files or from a Debian release."""

from omnitron.sandbox.binds import Bind
from omnitron.sandbox.debian import debian_root
from omnitron.sandbox.machine import Sandbox, SandboxStatus

__all__ = ["Bind", "Sandbox", "SandboxStatus", "debian_root"]
