"""Programs that systemd starts for a stack beside its apps: servers, containers, and the opening of secrets."""
