"""The page that people look at: a static site made from stored records, which opens from disk.

========================  ============================================================================
:mod:`~.facts`            what is taken from the records, and what is left out
:mod:`~.curves`           the curves that a record holds
:mod:`~.charts`           one file for each chart: from facts to a figure
:mod:`~.plotting`         a figure as a drawing, which a template writes as SVG
:mod:`~.paper`            the same figure in matplotlib
:mod:`~.view`, `~.html`   what the templates are given, and the templates
:mod:`~.site`             the folder, written whole or not at all
========================  ============================================================================

Whatever comes from a record is untrusted: it reaches a page through a template that escapes it, and a file's
name through :func:`metabench.report.facts.file_names`.
"""

from metabench.report.facts import Facts, Section, gather
from metabench.report.pages import pages_of
from metabench.report.site import write_site

__all__ = ["Facts", "Section", "gather", "pages_of", "write_site"]
