"""The runtime room: what runs of a project, in which environment, under which watch."""
