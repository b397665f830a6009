"""Meetings: all proposals of both directions, and making a new one."""
