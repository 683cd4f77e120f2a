"""Drawing: one specification of a figure (`figure`), and what draws it."""
