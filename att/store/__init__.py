"""What ATT remembers: projects, runs and events, in SQLite or PostgreSQL, behind one small interface (`att.store.store`)."""
