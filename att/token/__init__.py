"""Named tokens: who may ask what, beside the owner."""
