"""Authentication and authorisation of calls."""
