"""Tasks that are run again, to see whether they do the same."""
