"""The watcher: supervision over several units, beyond the directives of systemd. No service needs it to run."""
