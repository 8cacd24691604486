"""Level and posteriors of one source, live in the terminal."""
