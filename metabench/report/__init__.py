"""The report: a static site made from stored records, which opens from disk.

========================  ===========================================================
:mod:`~.data`             the records of each benchmark, ranked
:mod:`~.curves`           the curves that a record holds
:mod:`~.charts`           one function for each chart: from the data to a figure
:mod:`~.layout`           a figure with its scales, ticks, limits and layers
:mod:`~.svg`              draws a layout as SVG, for the page
:mod:`~.paper`            draws a layout with matplotlib, for a paper
:mod:`~.context`          the variables of the templates
:mod:`~.pages`            the templates, rendered
:mod:`~.site`             the folder, written atomically
========================  ===========================================================

Text of a record is untrusted: it reaches a page only through a template that escapes it, and a
file name only through :func:`metabench.report.data.file_names`.
"""

from metabench.report.data import BenchmarkResults, ReportData, gather
from metabench.report.pages import render_site
from metabench.report.site import write_site

__all__ = ["BenchmarkResults", "ReportData", "gather", "render_site", "write_site"]
