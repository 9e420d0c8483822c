"""How it reads: templates, escaping, and the parser for round trips."""
