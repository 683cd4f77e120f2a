"""The three pages of a report. `content.py` and `tables.py` decide what they say; a page is one file that writes it."""
