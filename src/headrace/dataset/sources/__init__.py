"""What users call on a context to make datasets, one family of methods a file."""

from headrace.dataset.sources.binaries import Binaries
from headrace.dataset.sources.tables import Tables
from headrace.dataset.sources.texts import Texts
from headrace.dataset.sources.values import Values


class Sources(Texts, Tables, Binaries, Values):
    """All sources."""


__all__ = ["Sources"]
