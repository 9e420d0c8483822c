"""What systemd runs for a service of the distribution's own server; standard library only."""
