"""The inbox: what waits for a person, and the widgets in which they decide."""
