"""The deploy room: artefacts of a project, and which of them its app runs out of."""
