"""Security: events in plain words, keys and their rotation."""
