"""State of supervision: small files in /run/omnitron that helpers, watcher and status share."""
