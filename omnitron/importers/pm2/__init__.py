"""The importer of pm2's ecosystem files."""
