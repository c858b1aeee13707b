"""Whether ATT itself is well."""
