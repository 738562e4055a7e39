"""The objects of the simulated world: what each kind is made of, at its usual size in metres.

There is one function for each kind, with the kind's name; `build` finds it.
"""

import math
from dataclasses import dataclass

import numpy as np

from . import shapes
from .shapes import Mesh

# Parts whose colour is not the object's.
STEEL = (0.62, 0.63, 0.65, 1.0)
PAPER = (0.93, 0.91, 0.86, 1.0)
DARK = (0.13, 0.13, 0.14, 1.0)
LIGHT_WOOD = (0.72, 0.55, 0.36, 1.0)


@dataclass(frozen=True)
class Part:
    """One mesh of an object; other things touch its convex hull. `rgba` is None where it has the
    object's colour."""

    mesh: Mesh
    rgba: tuple[float, float, float, float] | None = None


def _shell(outer: list[tuple[float, float]], wall: float) -> Mesh:
    """A vessel: `outer` goes from the foot up to the rim as (radius, height)."""
    inner = [(max(r - wall, 0.0), max(z, wall)) for r, z in reversed(outer)]
    inner[0] = (outer[-1][0] - wall, outer[-1][1])
    return shapes.lathe([(0.0, outer[0][1]), *outer, *inner, (0.0, wall)])


def _round(radius: float, height: float, z: float = 0.0) -> Mesh:
    return shapes.lathe([(0, z), (radius, z), (radius, z + height), (0, z + height)])


def _ball(radius: float) -> Mesh:
    steps = np.linspace(-math.pi / 2, math.pi / 2, 15)
    return shapes.lathe(
        [(max(radius * math.cos(a), 0.0) if abs(a) < 1.57 else 0.0, radius * math.sin(a)) for a in steps]
    )


def _open_box(x: float, y: float, z: float, wall: float) -> list[Part]:
    pieces = [((x, y, wall), (0, 0, wall / 2))]
    for sign in (-1, 1):
        pieces.append(((wall, y, z), (sign * (x - wall) / 2, 0, z / 2)))
        pieces.append(((x, wall, z), (0, sign * (y - wall) / 2, z / 2)))
    return [Part(shapes.cuboid(size, centre)) for size, centre in pieces]


def block(rng: np.random.Generator) -> list[Part]:
    a = 0.058
    x, y = a * rng.uniform(0.9, 1.15), a * rng.uniform(0.9, 1.15)
    return [Part(shapes.cuboid((x, y, a), (0, 0, a / 2)))]


def bowl(rng: np.random.Generator) -> list[Part]:
    h = 0.052 * rng.uniform(0.85, 1.15)
    turns = np.linspace(0.25, 1.0, 7) * math.pi / 2
    foot = 1 - math.cos(turns[0])
    return [Part(_shell([(0.068 * math.sin(t), h * (1 - math.cos(t) - foot)) for t in turns], 0.004))]


def _handle(radius: float, low: float, high: float, reach: float) -> Mesh:
    t = np.linspace(-math.pi / 2, math.pi / 2, 11)
    middle, half = (low + high) / 2, (high - low) / 2
    path = np.stack([radius - 0.002 + reach * np.cos(t), 0 * t, middle + half * np.sin(t)], axis=1)
    return shapes.tube(path, 0.0065)


def mug(rng: np.random.Generator) -> list[Part]:
    r, h = 0.037 * rng.uniform(0.95, 1.1), 0.083 * rng.uniform(0.9, 1.1)
    return [
        Part(_shell([(r, 0), (r, h)], 0.004)),
        Part(_handle(r, 0.18 * h, 0.85 * h, 0.034)),
    ]


def cup(rng: np.random.Generator) -> list[Part]:
    h = 0.092 * rng.uniform(0.9, 1.1)
    return [Part(_shell([(0.025, 0), (0.039, h), (0.0405, h)], 0.003))]


def can(rng: np.random.Generator) -> list[Part]:
    r, h = 0.031, 0.1 * rng.uniform(0.85, 1.1)
    return [
        Part(_round(r, 0.84 * h, 0.08 * h)),
        Part(shapes.lathe([(0, 0), (0.85 * r, 0), (r, 0.08 * h), (0, 0.08 * h)]), STEEL),
        Part(shapes.lathe([(0, 0.92 * h), (r, 0.92 * h), (0.85 * r, h), (0, h)]), STEEL),
    ]


def bottle(rng: np.random.Generator) -> list[Part]:
    h = 0.155 * rng.uniform(0.9, 1.1)
    body = [(0, 0), (0.029, 0), (0.031, 0.01), (0.031, 0.58 * h), (0.012, 0.78 * h), (0.012, 0.9 * h), (0, 0.9 * h)]
    return [Part(shapes.lathe(body)), Part(_round(0.014, 0.1 * h, 0.9 * h), DARK if rng.random() < 0.5 else PAPER)]


def ball(rng: np.random.Generator) -> list[Part]:
    return [Part(shapes.moved(_ball(0.036), (0, 0, 0.036)))]


def ring(rng: np.random.Generator) -> list[Part]:
    large, small = 0.042 * rng.uniform(0.95, 1.1), 0.0125 * rng.uniform(0.85, 1.15)
    t = np.linspace(0, 2 * math.pi, 13)[:-1]
    mesh = shapes.lathe([(large + small * math.cos(a), small + small * math.sin(a)) for a in t])
    return [Part(mesh)]


def cone(rng: np.random.Generator) -> list[Part]:
    h = 0.1 * rng.uniform(0.9, 1.15)
    return [Part(shapes.lathe([(0, 0), (0.043, 0), (0.043, 0.004), (0.003, h), (0, h)]))]


def plate(rng: np.random.Generator) -> list[Part]:
    r = 0.085 * rng.uniform(0.9, 1.1)
    return [Part(_shell([(0.55 * r, 0), (0.68 * r, 0.004), (r, 0.017)], 0.004))]


def box(rng: np.random.Generator) -> list[Part]:
    return _open_box(0.1 * rng.uniform(0.9, 1.1), 0.078, 0.062 * rng.uniform(0.9, 1.15), 0.005)


def tray(rng: np.random.Generator) -> list[Part]:
    return _open_box(0.19 * rng.uniform(0.9, 1.1), 0.125 * rng.uniform(0.9, 1.1), 0.02, 0.006)


def star(rng: np.random.Generator) -> list[Part]:
    angle = np.arange(10) * math.pi / 5
    radius = np.where(np.arange(10) % 2 == 0, 0.05, 0.021)
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return [Part(shapes.extrude(outline, 0.024))]


def heart(rng: np.random.Generator) -> list[Part]:
    t = np.linspace(0, 2 * math.pi, 33)[:-1]
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    outline = np.stack([x, y], axis=1)[::-1] * 0.0028
    return [Part(shapes.extrude(outline, 0.024))]


def cross(rng: np.random.Generator) -> list[Part]:
    a, b = 0.015, 0.046
    outline = [
        (a, -b),
        (a, -a),
        (b, -a),
        (b, a),
        (a, a),
        (a, b),
        (-a, b),
        (-a, a),
        (-b, a),
        (-b, -a),
        (-a, -a),
        (-a, -b),
    ]
    return [Part(shapes.extrude(np.array(outline), 0.024))]


def spoon(rng: np.random.Generator) -> list[Part]:
    t = np.arange(20) * 2 * math.pi / 20
    scoop = shapes.extrude(np.stack([0.028 * np.cos(t), 0.02 * np.sin(t)], axis=1), 0.009)
    handle = shapes.cuboid((0.105, 0.0105, 0.007), (0.076, 0, 0.006))
    return [Part(scoop), Part(handle)]


def fork(rng: np.random.Generator) -> list[Part]:
    parts = [((0.105, 0.0105, 0.007), (0.07, 0, 0.004)), ((0.016, 0.034, 0.007), (0.012, 0, 0.004))]
    parts += [((0.042, 0.005, 0.006), (-0.016, y, 0.004)) for y in (-0.0145, -0.005, 0.005, 0.0145)]
    return [Part(shapes.cuboid(size, centre)) for size, centre in parts]


def hammer(rng: np.random.Generator) -> list[Part]:
    handle = shapes.moved(shapes.laid_down(_round(0.0095, 0.13)), (0, 0, 0.013))
    head = shapes.cuboid((0.027, 0.082, 0.026), (-0.006, 0, 0.013))
    return [Part(handle), Part(head, STEEL if rng.random() < 0.7 else DARK)]


def screwdriver(rng: np.random.Generator) -> list[Part]:
    grip = shapes.lathe(
        [(0, 0), (0.012, 0.002), (0.015, 0.02), (0.013, 0.05), (0.015, 0.062), (0.008, 0.068), (0, 0.068)], 10
    )
    shaft = _round(0.0042, 0.075, 0.066)
    return [
        Part(shapes.moved(shapes.laid_down(grip), (0, 0, 0.015))),
        Part(shapes.moved(shapes.laid_down(shaft), (0, 0, 0.015)), STEEL),
    ]


def wrench(rng: np.random.Generator) -> list[Part]:
    angle = np.linspace(0.6, 2 * math.pi - 0.6, 9)
    bar = shapes.cuboid((0.1, 0.015, 0.009), (0, 0, 0.0045))
    jaw = [
        shapes.moved(
            shapes.cuboid((0.013, 0.013, 0.011), (0, 0, 0.0055)),
            (0.068 + 0.018 * math.cos(a + math.pi), 0.02 * math.sin(a + math.pi), 0),
        )
        for a in angle
    ]
    return [Part(bar), *(Part(piece) for piece in jaw), Part(_round(0.017, 0.01))]


def pyramid(rng: np.random.Generator) -> list[Part]:
    a, h = 0.041, 0.075 * rng.uniform(0.9, 1.15)
    vertices = np.array([(-a, -a, 0), (a, -a, 0), (a, a, 0), (-a, a, 0), (0, 0, h)])
    triangles = np.array([(0, 2, 1), (0, 3, 2), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)])
    return [Part((vertices, triangles))]


def cylinder(rng: np.random.Generator) -> list[Part]:
    return [Part(_round(0.03 * rng.uniform(0.9, 1.15), 0.078 * rng.uniform(0.9, 1.1)))]


def book(rng: np.random.Generator) -> list[Part]:
    x, y, z = 0.135 * rng.uniform(0.9, 1.1), 0.098, 0.024 * rng.uniform(0.8, 1.2)
    cover = 0.003
    return [
        Part(shapes.cuboid((x, y, cover), (0, 0, cover / 2))),
        Part(shapes.cuboid((x, y, cover), (0, 0, z - cover / 2))),
        Part(shapes.cuboid((x, cover, z), (0, (cover - y) / 2, z / 2))),
        Part(shapes.cuboid((x - 0.008, y - 0.008, z - 2 * cover), (0, 0, z / 2)), PAPER),
    ]


def arrow(rng: np.random.Generator) -> list[Part]:
    outline = [(-0.06, -0.012), (0.01, -0.012), (0.01, -0.034), (0.06, 0), (0.01, 0.034), (0.01, 0.012), (-0.06, 0.012)]
    return [Part(shapes.extrude(np.array(outline), 0.022))]


def dumbbell(rng: np.random.Generator) -> list[Part]:
    bar = shapes.moved(shapes.laid_down(_round(0.01, 0.1)), (-0.05, 0, 0.028))
    ends = [shapes.moved(shapes.laid_down(_round(0.028, 0.026)), (x, 0, 0.028)) for x in (-0.07, 0.044)]
    return [Part(bar), *(Part(end) for end in ends)]


_BUILDERS = {
    builder.__name__: builder
    for builder in (
        block,
        bowl,
        mug,
        cup,
        can,
        bottle,
        ball,
        ring,
        cone,
        plate,
        box,
        tray,
        star,
        heart,
        cross,
        spoon,
        fork,
        hammer,
        screwdriver,
        wrench,
        pyramid,
        cylinder,
        book,
        arrow,
        dumbbell,
    )
}

# Kinds that stand or lie in more than one way when they are put down with care.
MAY_LIE_ON_SIDE = {"mug", "cup", "can", "bottle", "cylinder", "cone"}
MAY_BE_UPSIDE_DOWN = {"bowl", "cup", "box"}


def build(kind: str, rng: np.random.Generator, scale: float) -> list[Part]:
    """The parts of an object of `kind`, standing or lying on z = 0 about the origin, at `scale`
    times its usual size. Its proportions vary with `rng`."""
    return [Part(_scaled(shapes.outward(part.mesh), scale), part.rgba) for part in _BUILDERS[kind](rng)]


def _scaled(mesh: Mesh, scale: float) -> Mesh:
    return mesh[0] * scale, mesh[1]
