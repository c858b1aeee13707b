"""The debug room: errors out of the log, log records, and profiles of evaluations."""
