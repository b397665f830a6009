"""The first run in four short steps."""
