"""The look: tokens, palette, one small style sheet, and icons coloured from them."""
