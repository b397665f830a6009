"""Contacts: the list, one contact's keys and trust, my link, and adding by link."""
