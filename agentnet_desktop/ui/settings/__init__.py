"""Settings of the window, and what there is to know about the profile."""
