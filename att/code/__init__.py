"""The code room: a project's files, listed, read, written, searched and compared."""
