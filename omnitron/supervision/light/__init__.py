"""Small stand-ins for modules of the standard library that import too slowly for a crash helper."""
