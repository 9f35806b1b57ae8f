"""Datasets: immutable, partitioned, lazy, recomputed when lost.  The names and their meaning are those of PySpark's RDD.

Source: Zaharia et al., "Resilient Distributed Datasets" (2012).
"""

from headrace.dataset.dataset import Dataset

__all__ = ["Dataset"]
