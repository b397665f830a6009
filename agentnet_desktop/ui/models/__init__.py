"""Qt models over the agent's views: the log, the inbox, contacts, meetings, security events."""
