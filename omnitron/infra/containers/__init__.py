"""A service in a container: what it is made of, and what stays in the foreground of its unit while it runs."""
