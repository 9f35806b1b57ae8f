"""What users call on a dataset, one family of methods a file."""
