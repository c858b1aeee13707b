"""The test room: the project's own tests, run in its own environment, and what came of them."""
