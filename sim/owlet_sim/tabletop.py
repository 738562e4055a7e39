"""A table with chosen objects, for recordings and live streams: wood, daylight, and nothing random
but how the things lie."""

import re
from dataclasses import dataclass

import mujoco
import numpy as np

from . import textures, vocabulary
from .scene import TABLE_HALF_M, Scene

# What lies on the table where nothing else is asked for. All of them are combinations that the
# built-in detector was trained on; two blocks and two green things, so that both words matter.
USUAL_THINGS = (
    "red bowl, wooden blue block, wooden green block, yellow mug, metal green can, orange ball, "
    "purple bottle, white plate, pink cup, orange hammer"
)

LAYOUT_M = 0.2
WALL_RGB = (214, 211, 204)
FLOOR_RGB = (112, 108, 104)


@dataclass(frozen=True)
class Thing:
    """An object that is asked for."""

    kind: str
    colour: str
    material: str


def parse_things(text: str) -> list[Thing]:
    """Reads `red bowl, wooden blue block`: each `[MATERIAL] COLOUR KIND`, parted by commas.

    Raises ValueError that names every part which is not of that form.
    """
    things, wrong = [], []
    for part in (part.strip() for part in text.split(",")):
        material, colour, kind = ([None] * 3 + re.split(r"\s+", part))[-3:]
        if (
            len(part.split()) <= 3
            and kind in vocabulary.ALL_KINDS
            and colour in vocabulary.COLOURS
            and material in (None, *vocabulary.MATERIALS)
        ):
            things.append(Thing(kind, colour, material or "plastic"))
        else:
            wrong.append(repr(part))
    if wrong:
        raise ValueError(
            f"not [MATERIAL] COLOUR KIND: {', '.join(wrong)}; "
            f"materials: {', '.join(vocabulary.MATERIALS)}; colours: {', '.join(vocabulary.COLOURS)}; "
            f"kinds: {', '.join(vocabulary.ALL_KINDS)}"
        )
    return things


class Tabletop(Scene):
    """A wooden table in a light room with `things` on it, settled and dressed. How they lie and
    their exact shades depend on `seed`."""

    def __init__(self, seed: int, things: list[Thing], size_px: tuple[int, int]) -> None:
        super().__init__(np.random.default_rng(seed), [thing.kind for thing in things], *size_px, layout_m=LAYOUT_M)
        self.settle()
        self.dress([thing.colour for thing in things], [thing.material for thing in things])

    def _add_room(self, in_bin: bool) -> None:
        super()._add_room(in_bin)
        spec = self._spec
        spec.visual.quality.shadowsize = 4096
        spec.visual.map.shadowclip, spec.visual.map.shadowscale = 0.8, 0.8
        # Textures with random draws of their own: those of the scene stay what they are.
        boards = textures.boards(np.random.default_rng(0))
        self._add_material("boards", boards, 0.5 / TABLE_HALF_M, specular=0.15, shininess=0.35)
        for name, rgb in (("plain_wall", WALL_RGB), ("plain_floor", FLOOR_RGB)):
            self._add_material(name, np.full((8, 8, 3), rgb, np.uint8), 1.0, specular=0.0, shininess=0.1)
            # The lights point at the table; a room also has light that comes from everywhere.
            spec.material(name).emission = 0.3

    def dress(self, colours: list[str], materials: list[str] | None = None) -> None:
        """Gives the objects these colours and finishes; light and surfaces are always the same."""
        super().dress(colours, materials)
        model = self.model
        for geom in range(model.ngeom):
            for prefix, material in (("table", "boards"), ("floor", "plain_floor"), ("wall", "plain_wall")):
                if model.geom(geom).name.startswith(prefix):
                    model.geom_matid[geom] = model.material(material).id
        model.mat_specular[model.material("plastic").id] = 0.35
        model.mat_shininess[model.material("plastic").id] = 0.6
        model.vis.headlight.ambient[:] = 0.33
        model.vis.headlight.diffuse[:] = 0.12
        model.vis.headlight.specular[:] = 0.0
        # A warm window with a shadow, and two weak cool lights against it.
        lights = (
            ((-0.7, 0.5, 1.5), (0.59, 0.57, 0.53), 0.4),
            ((0.9, 0.7, 1.4), (0.13, 0.14, 0.16), 0.10),
            ((0.2, -1.1, 1.3), (0.12, 0.12, 0.13), 0.05),
        )
        for i, (position, diffuse, specular) in enumerate(lights):
            model.light_pos[i] = position
            model.light_dir[i] = -np.array(position) / np.linalg.norm(position)
            model.light_diffuse[i], model.light_specular[i] = diffuse, specular
        mujoco.mj_forward(model, self.data)
