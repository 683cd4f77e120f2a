"""Figures in two steps: a frozen object (data and specification), then a renderer that draws it.

`make_figures` decides everything a reader sees; `draw_matplotlib`, `draw_pgfplots` and `draw_svg` only draw.
A kind of figure is one file with one pure function; a renderer is one file.
"""
