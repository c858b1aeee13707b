"""The HTTP door, made from the catalogue."""
