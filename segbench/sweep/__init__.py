"""Sweeps: the processes that run the trials of an experiment.

`launch` says what is left to do, of each kind of experiment as `studies` says. A launcher (`launchers/`)
starts workers; each `worker` takes trials from the queue and runs them with `segbench.trial`. The
`supervisor` writes the queue, watches workers and trials, and tells the display, the dashboard and the source
of trials (`sources`) what happened.
"""
