"""The window's small vocabulary: labels, buttons, chips, cards, empty states, QR codes."""
