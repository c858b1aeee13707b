"""ATT's own releases: made, listed, switched to, gone back from."""
