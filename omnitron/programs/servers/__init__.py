"""The distribution's own servers as services of a stack. Standard library only."""
