"""Where a persisted dataset is kept."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct


class StorageLevel(Struct, frozen=True):
    """In the workers' memory, on their disks, or in memory as far as it fits and on disk beyond that.

    Attributes:
        use_disk, use_memory: which of the two.

    >>> StorageLevel.MEMORY_AND_DISK
    StorageLevel(use_disk=True, use_memory=True)

    """

    use_disk: bool
    use_memory: bool

    DISK_ONLY: ClassVar[StorageLevel]
    MEMORY_ONLY: ClassVar[StorageLevel]
    MEMORY_AND_DISK: ClassVar[StorageLevel]

    def __str__(self) -> str:
        places = ["memory"] * self.use_memory + ["disks"] * self.use_disk
        return f"the workers' {' and '.join(places)}"


StorageLevel.DISK_ONLY = StorageLevel(use_disk=True, use_memory=False)
StorageLevel.MEMORY_ONLY = StorageLevel(use_disk=False, use_memory=True)
StorageLevel.MEMORY_AND_DISK = StorageLevel(use_disk=True, use_memory=True)
