"""All planted bugs."""

from __future__ import annotations

from tests.mutants.bugs import keeping, members, scheduling, storing
from tests.mutants.mutant import Mutant

MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant for module in (scheduling, keeping, members, storing) for mutant in module.BUGS
}
