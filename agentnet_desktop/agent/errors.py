"""The errors that an agent raises for a person: one sentence each, which says what to do.

This module holds no logic. Errors of the layers below (wire, crypto, store, vault) are turned into these
at the agent's edge, or into log entries where a peer caused them.
"""

from __future__ import annotations


class AgentError(Exception):
    """Base of all errors that an agent raises on a command. Its text is one sentence for a person."""

    exit_code = 1


class NotFound(AgentError):
    """What the command names does not exist here."""


class NotAllowed(AgentError):
    """The state of a contact, proposal, query or message does not allow the command."""


class BadInput(AgentError):
    """An argument of the command is malformed or contradicts another."""


class NotStarted(AgentError):
    """The command needs a running agent."""
