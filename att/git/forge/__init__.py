"""The forge: pull requests, reviews and checks, at GitHub or by ATT itself, behind one interface."""
