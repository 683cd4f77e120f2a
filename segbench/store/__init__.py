"""Every byte under `results/`: paths, atomic writes, records, leases and frames.

`layout.py` spells every path and docs/results-format.md explains every file. After an epoch `last.pt` is
renamed into place, then `best.pt` if the epoch is the selected one, then the row of `epochs.csv` is
appended; `trial.json` comes last and accepts the rest. Whenever a process is killed, the next attempt goes
on to the same bytes. Only `weights.py` imports torch.
"""
