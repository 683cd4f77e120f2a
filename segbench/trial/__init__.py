"""One trial, from its configuration to its folder.

`run` trains and writes, `record` says what stands in `trial.json`, `events` what a supervisor hears,
`signals` and `watchdog` when a process stops, `devices` where it may run, `picking` which trial comes next.
"""
