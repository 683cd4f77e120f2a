"""What a trial and an experiment are: reading, checking, resolving and expanding YAML files; no torch."""
