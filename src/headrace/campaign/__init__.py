"""A user's own program under seeds of disaster: run apart, compared with what it does without, shrunk, kept."""
