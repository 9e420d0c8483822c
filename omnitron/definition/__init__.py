"""Definitions as users write them: models, and the way from files to a checked whole."""
