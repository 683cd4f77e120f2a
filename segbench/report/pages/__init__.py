"""The three pages of a report: `content.py` and `tables.py` decide what they say, one file writes each."""
