"""Glyphs: generated characters of generated alphabets, as hard to classify as Omniglot's.

A data set like Omniglot (Lake, Salakhutdinov and Tenenbaum 2015) that needs no download: 1,321
characters of 44 alphabets, each drawn once by 20 drawers, 28 x 28 binary pixels. ``strokes``
generates the characters, ``drawers`` varies them per drawer and drawing, ``render`` rasterises
them, ``random_ints`` draws the random numbers. Everything is integer arithmetic from one seed, so
that the bits are the same on every machine; their digest is verified.

The variation between drawings is calibrated on Omniglot. Measured on the meta-test classes of the
mixed split and of Omniglot (28 x 28 by nearest pixel, split of Vinyals et al. 2016, with and
without the rotated classes), 600 episodes of 15 queries; ProtoNet is Conv4-64 trained on 200 or
600 episodes of 60 ways:

=============================  ======  ========  =================
accuracy, per cent             glyphs  Omniglot  without rotations
=============================  ======  ========  =================
pixel mean, 5-way 1-shot         37.8      37.7               35.5
pixel mean, 5-way 5-shot         70.1      65.9               62.6
pixel mean, 20-way 1-shot        16.7      18.0               16.8
ProtoNet 200, 5-way 1-shot       93.7      94.3               93.4
ProtoNet 200, 20-way 1-shot      82.7      83.4               80.7
ProtoNet 600, 5-way 1-shot       96.0      96.6       not measured
ProtoNet 600, 20-way 1-shot      88.0      89.7       not measured
=============================  ======  ========  =================

Ink covers 7.3 % of an image (Omniglot 8.4 %), in lines 1.3 pixels wide (1.2). The mean distance
between two drawings of a character is 0.92 times that between two characters (0.93).
"""

from metabench.datasets.glyphs.dataset import Glyphs
from metabench.datasets.glyphs.sheet import contact_sheet

__all__ = ["Glyphs", "contact_sheet"]
