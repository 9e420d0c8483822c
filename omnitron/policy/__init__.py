"""The compiled policy of a stack: its types, their file format, and where the files are. A leaf."""
