"""The pages and files of a report: `content.py` decides what they say, one file writes each format."""
