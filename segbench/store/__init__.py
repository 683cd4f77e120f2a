"""Every byte under `results/`: paths, atomic writes, records, leases and frames."""
