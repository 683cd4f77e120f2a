"""The tables of a report, from an analysis and its traces."""
