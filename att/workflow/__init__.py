"""Long work: runs of named steps that outlive the request, the daemon's life and an update of its code."""
