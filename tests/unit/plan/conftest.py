"""The fixtures of a small experiment and a fake engine."""

from sweep_fixtures import experiment, fake_engine, folder, make_experiment, queued  # noqa: F401
