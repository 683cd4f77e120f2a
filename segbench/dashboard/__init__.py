"""Optuna's view of the files: each experiment is a study that optuna-dashboard shows.

Studies are written from the records and read only to go on showing them, so a storage may be deleted at any
time. The way of a trial: `shown` puts its plan and its record in plain types, `mirror` follows the events of
a sweep from a thread, and `study` writes to the storage that `address` names and `storage` opens. Without a
sweep, `synchronise` writes the same from the files alone. `serve` starts optuna-dashboard with the pictures
of trials.
"""
