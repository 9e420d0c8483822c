"""Installation on disk: folders, the manifest of installed files, and atomic changes of a set of files."""
