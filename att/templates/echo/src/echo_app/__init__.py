"""An echo workflow for the NeMo Agent Toolkit."""
