"""Whether tasks do the same when they are run again: a sample of them is, in processes with other hash seeds."""
