"""Statistics of a report: pure functions, frame in, frame out; each states its reference."""
