"""The tables of a report, from an analysis: every number is printed here and only here."""
