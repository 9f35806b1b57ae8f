"""Where a persisted dataset is kept."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct


class StorageLevel(Struct, frozen=True):
    """In the workers' memory, on their disks, or in memory as far as it fits and on disk beyond that.

    Attributes:
        use_disk, use_memory: which of the two.
        replication: how many workers keep each partition, on different hosts where there are several: the loss of one
            loses nothing then.

    >>> StorageLevel.MEMORY_AND_DISK_2
    StorageLevel(use_disk=True, use_memory=True, replication=2)

    """

    use_disk: bool
    use_memory: bool
    replication: int = 1

    DISK_ONLY: ClassVar[StorageLevel]
    MEMORY_ONLY: ClassVar[StorageLevel]
    MEMORY_AND_DISK: ClassVar[StorageLevel]
    DISK_ONLY_2: ClassVar[StorageLevel]
    DISK_ONLY_3: ClassVar[StorageLevel]
    MEMORY_ONLY_2: ClassVar[StorageLevel]
    MEMORY_AND_DISK_2: ClassVar[StorageLevel]

    def __str__(self) -> str:
        places = ["memory"] * self.use_memory + ["disks"] * self.use_disk
        each = f", {self.replication} workers each partition" if self.replication > 1 else ""
        return f"the workers' {' and '.join(places)}{each}"


StorageLevel.DISK_ONLY = StorageLevel(use_disk=True, use_memory=False)
StorageLevel.MEMORY_ONLY = StorageLevel(use_disk=False, use_memory=True)
StorageLevel.MEMORY_AND_DISK = StorageLevel(use_disk=True, use_memory=True)
StorageLevel.DISK_ONLY_2 = StorageLevel(use_disk=True, use_memory=False, replication=2)
StorageLevel.DISK_ONLY_3 = StorageLevel(use_disk=True, use_memory=False, replication=3)
StorageLevel.MEMORY_ONLY_2 = StorageLevel(use_disk=False, use_memory=True, replication=2)
StorageLevel.MEMORY_AND_DISK_2 = StorageLevel(use_disk=True, use_memory=True, replication=2)
