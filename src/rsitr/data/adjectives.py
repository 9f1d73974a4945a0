"""Adjectives of remote-sensing captions, for the mask strategy `attribute` (METHODS 1.6, EBAKER table 4, "MAM").

A list and no tagger: the part-of-speech taggers in common use (nltk, spaCy, stanza) fetch their models from the network
when they first run, and this project works without one. The list was made by hand from the words that occur at least
eight times in the training captions of RSICD, RSITMD and UCM-Captions, and from NWPU's published vocabulary, by how a
word is mostly used there: `square` is left out (a place), `light` is left out (a lamp), `residential` is in. Counting
words (`two`, `many`) are determiners and left out. `shaped` serves `fan-shaped`, since a hyphen ends a word.
"""

from __future__ import annotations

__all__ = ["ADJECTIVES"]

ADJECTIVES = frozenset(
    """
    beige black blue blueish bright brown clear colored colorful coloured colourful cream cyan dark deep emerald gold
    golden gray green greenish grey khaki multicolored orange pale pink purple red reddish silver silvery tan turbid
    turquoise vivid white yellow yellowish

    big bigger broad compact enormous fat giant great heavy high huge immense large larger little long low medium
    narrow short small smaller spacious tall thick thin tiny vast wide

    angular circular columnar conical crooked curly curved cylindrical diagonal diamond elliptical fanshaped flat
    hexagonal horizontal irregular jagged linear multilateral octagonal oval parallel pentagonal perpendicular pointed
    polygonal quadrangular quadrilateral radial rectangular regular ribbon round rounded semicircular shaped sharp
    sinuous slender spherical squared steep straight striped symmetrical trapezoidal triangular twisted twisty
    uneven vertical wavy weblike winding zigzag

    ample close compactly compacted complete crowded dense distant empty endless full isolated numerous single sparse
    scattered separate separated unbroken vacant various whole

    bald bare barren bleak bustling busy calm clean closed complex complicated convenient covered damp dead desert
    deserted desolate dirty dry dusty exuberant flourishing foamy fresh grassy healthy icy lively lush luxuriant
    manicured messy metallic moist mountainous muddy naked neat new old open orderly organized outdoor paved peaceful
    plain prosperous quiet rich rocky rough rugged rusty sandy shaded shady shallow smart smooth snowy soft sparkling
    still strong terraced tidy tranquil tropical uncultivated unpaved urban verdant violent wet wild wilted withered
    wooded wooden wrinkled

    adjacent central different distinctive double eastern identical inner irrigated left lower middle near nearby
    neighboring northern opposite other outer right similar southern upper western

    aesthetic agricultural artificial beautiful commercial conspicuous economic educational elegant esthetic even
    famous fine good grand important industrial intensive leisure luxurious luxury magnificent main majestic mobile
    modern natural nice obvious ordinary perfect pretty public residential rural simple spectacular special strange
    thermal typical unique unusual wonderful
    """.split()  # noqa: SIM905 - lines of words read better than a list of literals
)
