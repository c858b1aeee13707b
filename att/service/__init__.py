"""ATT as a service of the machine: one description, made into units of systemd or a property list of launchd."""
