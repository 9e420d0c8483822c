"""The process host: runs one process of a bootstrap app, inside its own service."""
