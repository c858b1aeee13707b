"""What the keeper of a process and the daemon share: bytes of output in shared memory, and how they get there."""
