"""Events: who did what, when, and how it ended. Append-only, listed by type and time, followed live."""
