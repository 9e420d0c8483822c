"""The importer of compose files."""
