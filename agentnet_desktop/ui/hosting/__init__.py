"""Hosting: the bundled relay as a child process, and its page."""
