"""The reverse proxy in front of a stack: its routes, its container, and its maintenance mode."""
