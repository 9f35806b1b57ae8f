"""Where processes come from and go to."""
