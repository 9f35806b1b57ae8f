"""Watchers of loops: the story, progress, what workers print.  They see every step and change nothing."""
