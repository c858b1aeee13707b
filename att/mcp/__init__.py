"""The Model Context Protocol: the daemon's door for agents, and the way to it for their clients."""
