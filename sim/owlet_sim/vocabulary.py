"""The words of the simulated world: kinds, colours, sizes and materials, and the texts that name
an object. Everything that trains or measures the built-in detector takes its words from here.
"""

from dataclasses import dataclass

# Every kind that the built-in detector is trained on, with other words for it.
KINDS: dict[str, tuple[str, ...]] = {
    "block": ("cube", "brick"),
    "bowl": ("basin",),
    "mug": ("coffee mug",),
    "can": ("tin", "soda can"),
    "bottle": ("flask",),
    "ball": ("sphere",),
    "ring": ("hoop", "donut"),
    "cone": ("traffic cone",),
    "plate": ("dish", "saucer"),
    "box": ("crate", "carton"),
    "star": (),
    "heart": (),
    "cross": ("plus sign",),
    "spoon": ("ladle",),
    "hammer": ("mallet",),
    "screwdriver": (),
    "cup": ("tumbler", "paper cup"),
    "tray": (),
    "pyramid": (),
    "cylinder": ("drum",),
    "book": ("notebook",),
}

# Kinds that no training scene holds: what is shown of them was learnt from other objects.
NOVEL_KINDS: dict[str, tuple[str, ...]] = {
    "arrow": (),
    "dumbbell": (),
    "wrench": ("spanner",),
    "fork": (),
}


@dataclass(frozen=True)
class Colour:
    """A named colour: the range of hue (degrees), saturation and value that carries its name."""

    hue_deg: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]
    synonyms: tuple[str, ...] = ()


COLOURS: dict[str, Colour] = {
    "red": Colour((-6, 5), (0.85, 1.0), (0.65, 0.9), ("crimson", "scarlet")),
    "orange": Colour((20, 29), (0.9, 1.0), (0.88, 1.0), ("tangerine",)),
    "yellow": Colour((48, 58), (0.8, 1.0), (0.85, 1.0), ("golden",)),
    "green": Colour((100, 145), (0.7, 1.0), (0.4, 0.75), ("emerald",)),
    "blue": Colour((208, 232), (0.75, 1.0), (0.55, 0.95), ("azure", "navy")),
    "purple": Colour((265, 285), (0.6, 0.95), (0.4, 0.75), ("violet",)),
    "pink": Colour((322, 342), (0.35, 0.6), (0.9, 1.0), ("rose",)),
    "brown": Colour((18, 30), (0.6, 0.8), (0.3, 0.45), ("chocolate",)),
    "black": Colour((0, 360), (0.0, 0.15), (0.04, 0.12), ("ebony",)),
    "white": Colour((0, 360), (0.0, 0.05), (0.9, 1.0), ("ivory",)),
}

# Scale of an object against the usual size of its kind. The middle one has no word.
SIZES: dict[str, tuple[float, float]] = {
    "small": (0.72, 0.84),
    "": (0.9, 1.1),
    "large": (1.18, 1.35),
}
SIZE_SYNONYMS = {"small": ("little", "tiny"), "large": ("big",)}

# The finish of the coloured parts. Plastic is what is meant where nothing is said.
MATERIALS = ("plastic", "wooden", "metal")
MATERIAL_SYNONYMS = {"plastic": (), "wooden": ("wood",), "metal": ("metallic", "steel")}

ALL_KINDS = {**KINDS, **NOVEL_KINDS}


def is_unseen(kind: str, colour: str) -> bool:
    """Whether this combination is kept out of training: two of ten colours for each kind, and
    each colour for about one kind in five."""
    if kind in NOVEL_KINDS:
        return True
    return (list(KINDS).index(kind) + 2 * list(COLOURS).index(colour)) % 5 == 0


def combinations(unseen: bool) -> list[tuple[str, str]]:
    """All (kind, colour) of the trained kinds, either those that training sees or the rest."""
    return [(k, c) for k in KINDS for c in COLOURS if is_unseen(k, c) == unseen]


def category_name(kind: str, colour: str) -> str:
    """The text that names a combination in data sets: `red block`."""
    return f"{colour} {kind}"


def with_article(words: str) -> str:
    """`orange mug` becomes `an orange mug`."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
