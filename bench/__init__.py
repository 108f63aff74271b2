"""Load and scale measurements, each beside the same work as plain SQL on the same machine in the same run."""
