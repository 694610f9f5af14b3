"""What the benchmarks share: servers to measure, load to put on them, rounds, and the report."""
