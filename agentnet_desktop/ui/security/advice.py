"""What a person should do about a security event, by the stable word of its kind."""

from __future__ import annotations

from dataclasses import dataclass

from agentnet_desktop.ui.text import tr


@dataclass(frozen=True, slots=True)
class Advice:
    """A heading for the kind of event, and what to do."""

    title: str
    act: str


def advice(kind: str) -> Advice:
    """Give the advice for a kind; one that is unknown gets the general one."""
    bare = kind.partition(":")[0]
    forged = tr("Nothing was shown or acted on. If it happens again, ask your contact by another way.")
    known = {
        "KEY_CHANGED": Advice(
            tr("A contact's key changed"),
            tr(
                "Ask them by another way, such as a call, whether the new key is theirs. Then decide in the Inbox. "
                "Until you do, nothing is sent."
            ),
        ),
        "CLEARTEXT_REFUSED": Advice(
            tr("A message came unencrypted"),
            tr("It was refused. Their program may be faulty, or someone poses as them: ask by another way."),
        ),
        "BAD_SIGNATURE": Advice(tr("A signature did not fit"), forged),
        "DECRYPTION_FAILED": Advice(
            tr("A message could not be opened"),
            tr(
                "It was changed on its way, or sealed with keys that are gone. New keys are agreed on by themselves."
            ),
        ),
        "COMMITMENT_MISMATCH": Advice(tr("A message is not what was signed"), forged),
        "CONFIRMATION_MISMATCH": Advice(tr("A handshake was interfered with"), forged),
        "CONTACT_PROOF_MISMATCH": Advice(
            tr("A contact link was not proved"),
            tr("Someone tried to use a link without its secret. Withdraw links that you did not send."),
        ),
        "SEQUENCE_REFUSED": Advice(
            tr("An old message was sent again"), tr("It was not acted on twice. There is nothing to do.")
        ),
        "HANDSHAKE_REFUSED": Advice(tr("A handshake was refused"), forged),
        "MISDIRECTED": Advice(tr("A message was meant for someone else"), forged),
        "BAD_KEY": Advice(tr("An unusable key was offered"), forged),
    }
    return known.get(bare, Advice(tr("Something was refused"), forged))
