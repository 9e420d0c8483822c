"""Apps that restart when their files change."""
