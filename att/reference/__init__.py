"""The reference: every operation, model, error, event and setting in words, made from what the program itself uses."""
