"""Drawing in two steps: `figure.Figure` says what is drawn, with every number and word decided; back ends
only draw it.

`scales` chooses limits and ticks, `layout` places everything, `matplotlib_files` writes PNG, PDF, SVG and the
SVG of the HTML page, `pgfplots` writes LaTeX, and `drawn` draws only the figures that changed.
"""
