"""Git: the room of everything that is asked of a project's repository."""
