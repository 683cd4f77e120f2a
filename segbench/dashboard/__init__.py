"""Optuna: no module outside this folder imports it.

Two separate things live here. `mirror` shows an experiment's trials in a database for the dashboard; it is
written from records and may be thrown away at any time. `proposals` proposes configurations and decides what
to prune; it lives in memory and is filled from the records when a search goes on, so no database is ever the
truth. `records` is what both are told, in plain types.
"""
