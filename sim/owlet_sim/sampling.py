"""Random scenes by number: scene 17 of seed 3 is the same on every machine and in every order."""

from collections.abc import Iterator

import numpy as np

from . import vocabulary
from .scene import Observation, Scene

COMBINATIONS = ("seen", "unseen", "all", "novel")


def allowed_colours(kind: str, combinations: str) -> list[str]:
    """The colours that an object of `kind` may have: `seen`, `unseen`, or `all`; `novel` kinds
    take any."""
    if combinations in ("all", "novel"):
        return list(vocabulary.COLOURS)
    unseen = combinations == "unseen"
    return [c for c in vocabulary.COLOURS if vocabulary.is_unseen(kind, c) == unseen]


def random_scene(seed: int, index: int, combinations: str, size_px: tuple[int, int]) -> Scene:
    """A settled scene with five to ten objects, one in four in a bin. Its colours are not chosen
    yet."""
    rng = np.random.default_rng([seed, index])
    kinds = list(vocabulary.NOVEL_KINDS if combinations == "novel" else vocabulary.KINDS)
    chosen = [str(kind) for kind in rng.choice(kinds, rng.integers(5, 11))]
    scene = Scene(rng, chosen, *size_px, in_bin=rng.random() < 0.25, layout_m=rng.uniform(0.15, 0.23))
    scene.settle()
    return scene


def random_views(scene: Scene, count: int, combinations: str) -> Iterator[Observation]:
    """Looks at a scene `count` times, each time with other colours, light and surfaces."""
    rng = scene.rng
    for _ in range(count):
        # At times one colour for all, so that the colour alone never tells what a thing is.
        common = str(rng.choice(list(vocabulary.COLOURS))) if rng.random() < 0.2 else None
        colours = []
        for o in scene.objects:
            allowed = allowed_colours(o.kind, combinations)
            colours.append(common if common in allowed else str(rng.choice(allowed)))
        materials = [str(m) for m in rng.choice(vocabulary.MATERIALS, len(colours), p=[0.6, 0.2, 0.2])]
        scene.dress(colours, materials)
        yield scene.observe(scene.random_camera())
