"""What the network is asked in training: texts, and which objects each of them is true of."""

from dataclasses import dataclass

import numpy as np
from owlet_sim import vocabulary as v

KINDS = list(v.KINDS)
COLOURS = list(v.COLOURS)
SIZES = list(v.SIZES)
MATERIALS = list(v.MATERIALS)

ANY = -1

TEMPLATES = (
    "{a}",
    "{a}",
    "{a}",
    "{bare}",
    "the {bare}",
    "a photo of {a}",
    "a picture of {a}",
    "{a} on a table",
    "this is {a}",
)
COLOUR_TEMPLATES = ("{a} object", "{a} thing", "something {bare}", "{a} item", "anything {bare}")

# Words for things that no scene holds: the answer to them is always no.
OTHER_THINGS = """
person man woman child face hand arm leg foot finger hat shirt jacket shoe glove boot mask helmet dog cat bird horse
cow sheep mouse fish owl frog bear duck hen bee fly spider snake elephant giraffe zebra rabbit car truck bus van bike
bicycle motorcycle train plane boat ship wheel road street sign tree plant flower grass leaf stone rock cloud house
building door window wall floor ceiling roof chair couch sofa bed desk shelf cabinet drawer bench stool carpet curtain
pillow blanket towel mirror clock lamp light socket outlet cable wire plug charger battery remote screen monitor
television laptop computer keyboard phone tablet camera printer speaker headphones robot drone gripper sensor motor
gear glass jar pan pot lid kettle knife chopsticks bag sack basket bucket barrel pallet rope chain belt pipe valve tap
pump tank hook knob lever screw bolt nut nail drill saw pliers ruler brush broom mop sponge cloth soap glue pen pencil
marker eraser paper card envelope scissors stapler doll puzzle dice apple banana lemon lime pear peach grape
strawberry cherry melon mango tomato potato onion carrot pepper cucumber bread cake cookie pie pizza sandwich burger
egg cheese trolley ladder extinguisher guitar piano violin umbrella backpack wallet key coin watch glasses candle
balloon kite toothbrush comb razor needle
""".split()


@dataclass(frozen=True)
class Query:
    """A text and what it asks for; `ANY` where it does not say. `kind` is -2 for things that no
    scene holds."""

    text: str
    kind: int = ANY
    colour: int = ANY
    size: int = ANY
    material: int = ANY


NOWHERE = -2


def _words(rng: np.random.Generator, usual: str, synonyms: tuple[str, ...], synonym_share: float) -> str:
    return str(rng.choice(synonyms)) if synonyms and rng.random() < synonym_share else usual


def make_query(
    rng: np.random.Generator, kind: int = ANY, colour: int = ANY, size: int = ANY, material: int = ANY
) -> Query:
    """A text for these properties, with a random template and random synonyms."""
    words = []
    if size != ANY:
        words.append(_words(rng, SIZES[size], v.SIZE_SYNONYMS[SIZES[size]], 0.4))
    if colour != ANY:
        words.append(_words(rng, COLOURS[colour], v.COLOURS[COLOURS[colour]].synonyms, 0.15))
    if material != ANY:
        words.append(_words(rng, MATERIALS[material], v.MATERIAL_SYNONYMS[MATERIALS[material]], 0.3))
    templates = TEMPLATES
    if kind == ANY:
        templates = COLOUR_TEMPLATES
    else:
        words.append(_words(rng, KINDS[kind], v.KINDS[KINDS[kind]], 0.15))
    bare = " ".join(words)
    text = str(rng.choice(templates)).format(a=v.with_article(bare), bare=bare)
    return Query(text, kind, colour, size, material)


SEEN = [(KINDS.index(k), COLOURS.index(c)) for k, c in v.combinations(unseen=False)]


# [kinds, colours]: the combinations that training does not see.
UNSEEN = np.array([[v.is_unseen(k, c) for c in COLOURS] for k in KINDS])


def sample_queries(rng: np.random.Generator, more: int = 30) -> list[Query]:
    """One step's questions: every combination that training sees, every kind, every colour, some
    with size or material, and some for things that are nowhere. Combinations that training must
    not see are never named. The first are the combinations, in the order of `SEEN`."""
    queries = [make_query(rng, kind, colour) for kind, colour in SEEN]
    queries += [make_query(rng, kind=kind) for kind in range(len(KINDS))]
    queries += [make_query(rng, colour=colour) for colour in range(len(COLOURS))]
    for _ in range(more):
        kind, colour = SEEN[rng.integers(len(SEEN))]
        if rng.random() < 0.3:
            colour = ANY
        size, material = ANY, ANY
        if rng.random() < 0.5:
            size = int(rng.choice([SIZES.index("small"), SIZES.index("large")]))
        else:
            material = int(rng.integers(1, len(MATERIALS)))
        queries.append(make_query(rng, kind, colour, size, material))
    for _ in range(more):
        words = str(rng.choice(OTHER_THINGS))
        if rng.random() < 0.15:
            words = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), rng.integers(3, 9)))
        if rng.random() < 0.5:
            words = f"{rng.choice(COLOURS)} {words}"
        text = str(rng.choice(TEMPLATES)).format(a=v.with_article(words), bare=words)
        queries.append(Query(text, NOWHERE))
    return queries


def true_of(queries: list[Query], attributes: np.ndarray) -> np.ndarray:
    """Which of `queries` is true of which object. `attributes`: int `[..., 4]` (kind, colour,
    size, material); returns bool `[..., queries]`."""
    asked = np.array([[q.kind, q.colour, q.size, q.material] for q in queries])
    return ((asked == ANY) | (asked == attributes[..., None, :])).all(-1)


def not_deniable(queries: list[Query], attributes: np.ndarray) -> np.ndarray:
    """Which of `queries` must not be called wrong for which object. No purple star is ever shown;
    if every purple thing were therefore said to be no star, the network would learn that the two
    exclude each other. `attributes`: int `[..., 4]`; returns bool `[..., queries]`."""
    kind, colour = attributes[..., 0, None], attributes[..., 1, None]
    asked_kind = np.array([q.kind for q in queries])
    asked_colour = np.array([q.colour for q in queries])
    only_kind = (asked_kind >= 0) & (asked_colour == ANY) & (colour >= 0)
    only_colour = (asked_kind == ANY) & (asked_colour >= 0) & (kind >= 0)
    return (only_kind & UNSEEN[asked_kind, colour]) | (only_colour & UNSEEN[kind, asked_colour])


def all_words() -> list[str]:
    """Every word that a training text can hold: each becomes one token."""
    texts = [*KINDS, *COLOURS, *MATERIALS, *OTHER_THINGS, *filter(None, SIZES)]
    for synonyms in (*v.KINDS.values(), *v.SIZE_SYNONYMS.values(), *v.MATERIAL_SYNONYMS.values()):
        texts += synonyms
    texts += [s for colour in v.COLOURS.values() for s in colour.synonyms]
    texts += [*v.NOVEL_KINDS, *(s for names in v.NOVEL_KINDS.values() for s in names)]
    texts += [t.format(a="a an", bare="") for t in (*TEMPLATES, *COLOUR_TEMPLATES)]
    return sorted({word for text in texts for word in text.split()})
