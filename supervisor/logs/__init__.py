"""The log of a project: bytes come in through `launcher.protocol`, lines go out by cursor. The public face is `log.Log`."""
