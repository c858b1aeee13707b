"""Projects: directories that ATT knows by name.

Made from a template, registered in place, or cloned with git.
"""
