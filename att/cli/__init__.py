"""The command line, made from the catalogue."""
