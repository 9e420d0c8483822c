"""The reverse proxy in front of a stack: what it serves, and what runs inside its unit."""
