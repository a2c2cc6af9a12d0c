"""Glyphs: invented characters of invented alphabets, as hard to tell apart as Omniglot's.

A set like Omniglot (Lake, Salakhutdinov, Tenenbaum 2015) that needs no download: 1,321 characters of 44
alphabets, each drawn once by 20 hands, 28 x 28 pixels of ink or paper. ``strokes`` invents the characters,
``drawers`` lets the hands draw them, ``render`` inks them, ``noise`` draws the random numbers. All of it is
integer arithmetic from one seed, so that the bits are the same on every machine; their digest is checked
whenever they are made. Making them takes about a second, after which the cache holds them.

How far the hands stray is calibrated on the real thing. Measured on the meta-test classes of the mixed split
and of Omniglot (28 x 28 by nearest pixel, the split of Vinyals et al. 2016, with and without the classes that
are made by turning), 600 episodes of 15 queries; ProtoNet is Conv4-64 trained on 200 or 600 episodes of 60
ways:

=============================  ======  ========  ===============
per cent correct               glyphs  Omniglot  without turning
=============================  ======  ========  ===============
pixel mean, 5-way 1-shot         37.8      37.7             35.5
pixel mean, 5-way 5-shot         70.1      65.9             62.6
pixel mean, 20-way 1-shot        16.7      18.0             16.8
ProtoNet 200, 5-way 1-shot       93.7      94.3             93.4
ProtoNet 200, 20-way 1-shot      82.7      83.4             80.7
ProtoNet 600, 5-way 1-shot       96.0      96.6     not measured
ProtoNet 600, 20-way 1-shot      88.0      89.7     not measured
=============================  ======  ========  ===============

Ink covers 7.3 % of an image (Omniglot 8.4 %), in lines 1.3 pixels wide (1.2); two drawings of a character
are 0.92 times as far apart as drawings of two characters (0.93).
"""

from metabench.datasets.glyphs.dataset import Glyphs
from metabench.datasets.glyphs.sheet import contact_sheet

__all__ = ["Glyphs", "contact_sheet"]
