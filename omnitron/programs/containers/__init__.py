"""A container as a service of a stack: the program in the foreground of its unit."""
