"""What ATT remembers: projects, runs and events, in SQLite or PostgreSQL (`att.store.store`)."""
