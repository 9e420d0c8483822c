"""The importer of Procfiles."""
