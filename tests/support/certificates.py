"""Certificates of servers on a machine, and what clients are shown of them."""

from __future__ import annotations

from tests.support.machines import Machine
from tests.support.projects import Project


def certify(project: Project, name: str) -> None:
    """Make a certificate and its key, which only root can read."""
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN={name}", "-days", "2"]
    files = ["-keyout", "tls.key", "-out", "tls.crt"]
    project.machine.run("openssl", "req", "-x509", "-nodes", *options, *files, cwd=project.folder)
    project.machine.run("chmod", "600", "tls.key", cwd=project.folder)


def shown(machine: Machine, port: int) -> str:
    """The name in the certificate that a client is shown."""
    client = f"openssl s_client -connect 127.0.0.1:{port} </dev/null 2>/dev/null | openssl x509 -noout -subject"
    return machine.run("sh", "-c", client, check=False).stdout.rpartition("= ")[2].strip()
