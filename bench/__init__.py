"""Speed and memory against the limits of the same run: `make bench`."""
