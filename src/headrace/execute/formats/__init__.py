"""How records are read from files and written to them: a module a format, and what they share."""
