"""Triangle meshes for the objects: solids of revolution, extrusions, boxes and tubes.

All lengths are metres. A mesh is a pair of arrays: vertices `[n, 3]` (f64) and triangles `[m, 3]`
(int), counter-clockwise seen from outside.
"""

import math

import numpy as np

Mesh = tuple[np.ndarray, np.ndarray]

SEGMENTS = 28


def lathe(profile: list[tuple[float, float]], segments: int = SEGMENTS) -> Mesh:
    """Turns a closed outline of (radius, height), counter-clockwise with the axis on its left
    hand side being radius 0, about the z axis."""
    n = len(profile)
    angles = np.arange(segments) * 2 * math.pi / segments
    radius, height = np.array(profile).T
    vertices = np.stack(
        [
            np.outer(np.cos(angles), radius),
            np.outer(np.sin(angles), radius),
            np.tile(height, (segments, 1)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    triangles = []
    for s in range(segments):
        here, there = s * n, (s + 1) % segments * n
        for i in range(n):
            j = (i + 1) % n
            if radius[i] > 0:
                triangles.append((here + i, there + i, here + j))
            if radius[j] > 0:
                triangles.append((there + i, there + j, here + j))
    return vertices, np.array(triangles)


def extrude(outline: np.ndarray, height: float) -> Mesh:
    """Raises a counter-clockwise outline `[n, 2]` that its origin sees all of, from z = 0."""
    n = len(outline)
    flat = np.zeros((n, 1))
    vertices = np.concatenate(
        [
            np.hstack([outline, flat]),
            np.hstack([outline, flat + height]),
            [[0, 0, 0], [0, 0, height]],
        ]
    )
    triangles = []
    for i in range(n):
        j = (i + 1) % n
        triangles += [(i, j, n + j), (i, n + j, n + i), (j, i, 2 * n), (n + i, n + j, 2 * n + 1)]
    return vertices, np.array(triangles)


def cuboid(size: tuple[float, float, float], centre: tuple[float, float, float]) -> Mesh:
    """An axis-aligned box."""
    x, y, _ = np.array(size) / 2
    outline = np.array([(-x, -y), (x, -y), (x, y), (-x, y)])
    vertices, triangles = extrude(outline, size[2])
    return vertices + np.array(centre) - [0, 0, size[2] / 2], triangles


def tube(path: np.ndarray, radius: float, segments: int = 10) -> Mesh:
    """A round bar along a plane path `[n, 3]` in the x-z plane, closed at both ends."""
    n = len(path)
    angles = np.arange(segments) * 2 * math.pi / segments
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    sideways = np.array([0.0, 1.0, 0.0])
    up = np.cross(along, sideways)
    vertices = np.concatenate(
        [path[i] + radius * (np.outer(np.cos(angles), sideways) + np.outer(np.sin(angles), up[i])) for i in range(n)]
        + [path[:1], path[-1:]]
    )
    triangles = []
    for s in range(segments):
        t = (s + 1) % segments
        for i in range(n - 1):
            a, b, c, d = i * segments + s, i * segments + t, (i + 1) * segments + s, (i + 1) * segments + t
            triangles += [(a, c, b), (b, c, d)]
        last = (n - 1) * segments
        triangles += [(s, t, n * segments), (last + t, last + s, n * segments + 1)]
    return vertices, np.array(triangles)


def moved(mesh: Mesh, offset: tuple[float, float, float]) -> Mesh:
    """The mesh shifted by `offset`."""
    return mesh[0] + np.array(offset), mesh[1]


def laid_down(mesh: Mesh) -> Mesh:
    """The mesh with its z axis turned to x."""
    vertices = mesh[0] @ np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]])
    return vertices, mesh[1]


def volume_m3(mesh: Mesh) -> float:
    """Enclosed volume; negative where the triangles face inwards."""
    a, b, c = (mesh[0][mesh[1][:, i]] for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def outward(mesh: Mesh) -> Mesh:
    """The mesh with its triangles facing outwards."""
    return mesh if volume_m3(mesh) > 0 else (mesh[0], mesh[1][:, ::-1])
