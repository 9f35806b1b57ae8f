"""What every door compiles to: operators, partitioners, stages, and the reasons that `explain()` gives."""
