"""A disposable systemd for machines that have none, of the host's own or of another Debian release."""

from omnitron.sandbox.binds import Bind
from omnitron.sandbox.debian import debian_root
from omnitron.sandbox.machine import Sandbox, SandboxStatus

__all__ = ["Bind", "Sandbox", "SandboxStatus", "debian_root"]
