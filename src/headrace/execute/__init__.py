"""The two kinds of execution: tasks, which run a fused chain over one partition, and (later) vertices."""
