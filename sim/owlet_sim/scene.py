"""A random scene: a table or a bin with objects that were let fall and came to rest, and a camera
that looks at them."""

import colorsys
import math
from dataclasses import dataclass, field

import mujoco
import numpy as np

from . import objects, textures, vocabulary

# How the renderer's pixels lie: centres at whole numbers, as in ROS and OpenCV.
PIXEL_CENTRE = 0.5

TABLE_HALF_M = 0.6
SURFACES = 8


@dataclass
class SimObject:
    """An object of the scene, and what can be said of it in words."""

    number: int
    """1 for the first; its value in instance images."""
    kind: str
    colour: str
    size: str
    material: str
    scale: float
    extent_m: np.ndarray
    """Its size along its own axes, `[3]`."""
    centre_in_object_m: np.ndarray
    """Centre of its bounding box in its own frame, `[3]`."""
    corners_in_object_m: np.ndarray
    """All vertices of its meshes, `[n, 3]`."""

    @property
    def name(self) -> str:
        """The category: colour and kind."""
        return vocabulary.category_name(self.kind, self.colour)


@dataclass
class Seen:
    """An object as one picture shows it."""

    object: SimObject
    box_px: tuple[float, float, float, float]
    """x0, y0, x1, y1 of its visible pixels; x1 and y1 are one past the last."""
    visible_px: int
    visible_share: float
    """Area of that box over the area of the box of the whole object, hidden and cut off parts
    included: a rough measure in [0, 1]."""
    world_from_object: np.ndarray
    """Pose, `[4, 4]`, metres."""


@dataclass
class Camera:
    """A pinhole camera without distortion."""

    width_px: int
    height_px: int
    focal_px: float
    world_from_optical: np.ndarray
    """Pose of the optical frame (x right, y down, z forward), `[4, 4]`, metres."""

    @property
    def centre_px(self) -> tuple[float, float]:
        """The principal point; pixel centres are whole numbers."""
        return self.width_px / 2 - PIXEL_CENTRE, self.height_px / 2 - PIXEL_CENTRE

    def project(self, points_in_world: np.ndarray) -> np.ndarray:
        """`[n, 3]` metres to `[n, 2]` pixels; NaN for what is behind the camera."""
        world_from_optical = self.world_from_optical
        points = (points_in_world - world_from_optical[:3, 3]) @ world_from_optical[:3, :3]
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = points[:, :2] / points[:, 2:] * self.focal_px + np.array(self.centre_px)
        pixels[points[:, 2] <= 0] = np.nan
        return pixels


@dataclass
class Observation:
    """All that the simulated RGB-D camera gives at one moment, and the truth about it."""

    rgb: np.ndarray
    """u8 `[height, width, 3]`."""
    depth_m: np.ndarray
    """f32 `[height, width]`, metres along the optical axis; as far as the walls."""
    instances: np.ndarray
    """u16 `[height, width]`: number of the object, 0 for none."""
    camera: Camera
    seen: list[Seen] = field(default_factory=list)


def look_at(eye: np.ndarray, target: np.ndarray, roll_rad: float = 0.0) -> np.ndarray:
    """Pose `[4, 4]` of an optical frame at `eye` that looks at `target`, with the world's z up."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.999 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = math.cos(roll_rad), math.sin(roll_rad)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = c * right + s * down, c * down - s * right, forward
    pose[:3, 3] = eye
    return pose


def named_rgba(colour: str, rng: np.random.Generator) -> np.ndarray:
    """A colour that carries the name `colour`, RGBA in [0, 1]."""
    c = vocabulary.COLOURS[colour]
    hue = rng.uniform(*c.hue_deg) / 360 % 1
    rgb = colorsys.hsv_to_rgb(hue, rng.uniform(*c.saturation), rng.uniform(*c.value))
    return np.array([*rgb, 1.0])


def _lowest_m(vertices: np.ndarray, rotation: np.ndarray) -> float:
    """Height of the lowest of some 200 of the vertices after a rotation (quaternion w, x, y, z)."""
    turned = np.zeros(3)
    lowest = math.inf
    for vertex in vertices[:: max(1, len(vertices) // 200)]:
        mujoco.mju_rotVecQuat(turned, vertex, rotation)
        lowest = min(lowest, turned[2])
    return lowest


class Scene:
    """One settled scene. Cheap to look at many times; colours, light and surfaces can be drawn
    anew without moving anything."""

    def __init__(
        self,
        rng: np.random.Generator,
        kinds: list[str],
        width_px: int = 320,
        height_px: int = 240,
        in_bin: bool = False,
        layout_m: float = 0.2,
    ) -> None:
        """Lets one object of each of `kinds` fall; `layout_m` is half the side of the area on
        which they are put down."""
        self.rng = rng
        self.width_px, self.height_px = width_px, height_px
        self._spec = mujoco.MjSpec()
        self._spec.option.timestep = 0.004
        self._spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        visual = self._spec.visual
        visual.quality.shadowsize, visual.quality.offsamples = 1024, 4
        visual.global_.offwidth, visual.global_.offheight = width_px, height_px
        visual.map.znear, visual.map.zfar = 0.01, 8.0
        self._spec.stat.extent, self._spec.stat.center = 1.0, [0, 0, 0]
        self._add_room(in_bin)
        # (middle, radius) of the places on the table that objects have got.
        self._taken: list[tuple[np.ndarray, float]] = []
        self.objects = [self._add_object(i + 1, kind, in_bin, layout_m) for i, kind in enumerate(kinds)]
        self.model = self._spec.compile()
        self.data = mujoco.MjData(self.model)
        self._geoms = {o.number: self._geoms_of(o) for o in self.objects}
        self._number_of_geom = np.zeros(self.model.ngeom + 1, np.uint16)
        for number, geoms in self._geoms.items():
            self._number_of_geom[[g for g, _ in geoms]] = number
        self._renderer = None

    def _add_room(self, in_bin: bool) -> None:
        rng, spec = self.rng, self._spec
        for i in range(SURFACES):
            pixels = textures.surface(rng)
            self._add_material(f"surface{i}", pixels, rng.uniform(1, 6), rng.uniform(0, 0.4), rng.uniform(0.1, 0.6))
        self._add_material("wooden", textures.grey_wood(rng), rng.uniform(6, 14), 0.1, 0.2)
        spec.add_material(name="plastic", specular=rng.uniform(0.1, 0.6), shininess=rng.uniform(0.2, 0.8))
        spec.add_material(name="metal", specular=1.0, shininess=0.9)
        world, box = spec.worldbody, mujoco.mjtGeom.mjGEOM_BOX
        half = TABLE_HALF_M
        friction = [0.9, 0.01, 0.001]
        world.add_geom(
            name="table", type=box, size=[half, half, 0.02], pos=[0, 0, -0.02], material="surface0", friction=friction
        )
        world.add_geom(name="floor", type=box, size=[3, 3, 0.01], pos=[0, 0, -0.75], material="surface1")
        for i, (x, y) in enumerate([(2.2, 0), (-2.2, 0), (0, 2.2), (0, -2.2)]):
            size = [0.01, 3, 2] if x else [3, 0.01, 2]
            world.add_geom(name=f"wall{i}", type=box, size=size, pos=[x, y, 1], material="surface2")
        if in_bin:
            wide, deep, high = rng.uniform(0.17, 0.22), rng.uniform(0.13, 0.17), rng.uniform(0.03, 0.06)
            for i, (x, y) in enumerate([(wide, 0), (-wide, 0), (0, deep), (0, -deep)]):
                size = [0.006, deep + 0.006, high] if x else [wide + 0.006, 0.006, high]
                world.add_geom(name=f"bin{i}", type=box, size=size, pos=[x, y, high], material="surface3")
            world.add_geom(
                name="bin_floor",
                type=box,
                size=[wide, deep, 0.002],
                pos=[0, 0, 0.002],
                material="surface3",
                friction=friction,
            )
            self._bin_half_m = (wide, deep)
        for i in range(3):
            world.add_light(name=f"light{i}", pos=[0, 0, 2], dir=[0, 0, -1], castshadow=i == 0, diffuse=[0.5] * 3)
        world.add_camera(name="camera", pos=[0, -0.5, 0.6], fovy=45)

    def _add_material(self, name: str, pixels: np.ndarray, repeat: float, specular: float, shininess: float) -> None:
        self._spec.add_texture(
            name=name,
            type=mujoco.mjtTexture.mjTEXTURE_2D,
            height=pixels.shape[0],
            width=pixels.shape[1],
            nchannel=3,
            data=pixels.ravel(),
        )
        roles = [""] * mujoco.mjtTextureRole.mjNTEXROLE
        roles[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
        self._spec.add_material(
            name=name,
            textures=roles,
            texrepeat=[repeat, repeat],
            texuniform=True,
            specular=specular,
            shininess=shininess,
        )

    def _add_object(self, number: int, kind: str, in_bin: bool, layout_m: float) -> SimObject:
        rng = self.rng
        size = str(rng.choice(list(vocabulary.SIZES), p=[0.25, 0.5, 0.25]))
        scale = rng.uniform(*vocabulary.SIZES[size])
        parts = objects.build(kind, rng, scale)
        vertices = np.concatenate([part.mesh[0] for part in parts])
        low, high = vertices.min(0), vertices.max(0)
        if in_bin:
            wide, deep = self._bin_half_m
            position = rng.uniform([-wide, -deep], [wide, deep]) * 0.65
            height = 0.06 + 0.07 * number
            rotation = rng.normal(size=4)
        else:
            position, height = self._free_place(layout_m, float(np.linalg.norm((high - low)[:2])) / 2)
            upside_down = kind in objects.MAY_BE_UPSIDE_DOWN and rng.random() < 0.2
            lying = kind in objects.MAY_LIE_ON_SIDE and rng.random() < 0.3
            yaw = rng.uniform(-math.pi, math.pi)
            rotation = np.zeros(4)
            mujoco.mju_axisAngle2Quat(rotation, [0, 0, 1], yaw)
            if upside_down or lying:
                tip = np.zeros(4)
                mujoco.mju_axisAngle2Quat(tip, [1, 0, 0], math.pi if upside_down else math.pi / 2)
                mujoco.mju_mulQuat(rotation, rotation.copy(), tip)
        rotation = rotation / np.linalg.norm(rotation)
        if not in_bin:
            height += 0.004 - _lowest_m(vertices, rotation)
        body = self._spec.worldbody.add_body(name=f"object{number}", pos=[*position, height], quat=rotation)
        body.add_freejoint()
        for i, part in enumerate(parts):
            mesh = f"object{number}_{i}"
            self._spec.add_mesh(
                name=mesh,
                uservert=part.mesh[0].ravel(),
                userface=part.mesh[1].ravel(),
                inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX,
                maxhullvert=32,
            )
            # The name says whether the part takes the object's colour.
            body.add_geom(
                name=f"{mesh}_{'own' if part.rgba is None else 'fixed'}",
                type=mujoco.mjtGeom.mjGEOM_MESH,
                meshname=mesh,
                rgba=part.rgba or [0.5, 0.5, 0.51, 1],
                density=500,
                friction=[0.8, 0.02, 0.002],
                condim=4,
            )
        return SimObject(number, kind, "", size, "plastic", scale, high - low, (high + low) / 2, vertices)

    def _free_place(self, layout_m: float, radius_m: float) -> tuple[np.ndarray, float]:
        """A place for an object, away from those before it where there is room; else on top."""
        taken, height = self._taken, 0.0
        for _ in range(30):
            at = self.rng.uniform(-layout_m, layout_m, 2)
            if all(np.hypot(*(at - other)) > 0.85 * (radius_m + radius) for other, radius in taken):
                break
        else:
            height = 0.1 + 0.05 * len(taken)
        taken.append((at, radius_m))
        return at, height

    def _geoms_of(self, o: SimObject) -> list[tuple[int, bool]]:
        body = self.model.body(f"object{o.number}")
        first, count = body.geomadr[0], body.geomnum[0]
        return [(g, self.model.geom(g).name.endswith("own")) for g in range(first, first + count)]

    def settle(self, seconds: float = 1.6) -> None:
        """Lets everything fall and come to rest."""
        mujoco.mj_step(self.model, self.data, nstep=round(seconds / self.model.opt.timestep))

    def dress(self, colours: list[str], materials: list[str] | None = None) -> None:
        """Gives the objects these colours and finishes, and draws light and surfaces anew."""
        rng, model = self.rng, self.model
        materials = materials or ["plastic"] * len(colours)
        for o, colour, material in zip(self.objects, colours, materials, strict=True):
            o.colour, o.material = colour, material
            rgba = named_rgba(colour, rng)
            for geom, own in self._geoms[o.number]:
                if own:
                    model.geom_rgba[geom] = rgba
                    model.geom_matid[geom] = model.material(material).id
        chosen = rng.integers(0, SURFACES, 4)
        for geom in range(model.ngeom):
            name = model.geom(geom).name
            for prefix, which in (("table", 0), ("floor", 1), ("wall", 2), ("bin", 3)):
                if name.startswith(prefix):
                    model.geom_matid[geom] = model.material(f"surface{chosen[which]}").id
        ambient = rng.uniform(0.12, 0.35)
        model.vis.headlight.ambient[:] = ambient
        model.vis.headlight.diffuse[:] = rng.uniform(0.05, 0.35)
        model.vis.headlight.specular[:] = rng.uniform(0, 0.2)
        for i in range(3):
            angle, reach = rng.uniform(-math.pi, math.pi), rng.uniform(0.1, 1.6)
            position = np.array([reach * math.cos(angle), reach * math.sin(angle), rng.uniform(1.0, 2.2)])
            model.light_pos[i], model.light_dir[i] = position, -position / np.linalg.norm(position)
            tint = 1 + rng.uniform(-0.06, 0.06, 3)
            strength = rng.uniform(0.3, 0.7) if i == 0 else rng.uniform(0, 0.25)
            model.light_diffuse[i], model.light_specular[i] = strength * tint, strength * 0.5
        mujoco.mj_forward(model, self.data)

    def random_camera(self) -> Camera:
        """A wrist or overhead camera that looks at the middle of the things."""
        rng = self.rng
        target = np.array([*rng.uniform(-0.07, 0.07, 2), 0.02])
        elevation = math.radians(rng.uniform(32, 88))
        azimuth = rng.uniform(-math.pi, math.pi)
        distance = rng.uniform(0.5, 0.8)
        eye = target + distance * np.array(
            [math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation)]
        )
        fov_y = math.radians(rng.uniform(36, 50))
        return self.camera_at(look_at(eye, target, rng.normal(0, math.radians(7))), fov_y)

    def camera_at(self, world_from_optical: np.ndarray, fov_y_rad: float) -> Camera:
        """A camera of this scene's picture size."""
        focal = self.height_px / 2 / math.tan(fov_y_rad / 2)
        return Camera(self.width_px, self.height_px, focal, world_from_optical)

    def observe(self, camera: Camera) -> Observation:
        """Takes the picture, the depth and the instance numbers."""
        model, data = self.model, self.data
        if self._renderer is None:
            self._renderer = mujoco.Renderer(model, self.height_px, self.width_px)
        renderer = self._renderer
        cam = model.camera("camera")
        # MuJoCo's cameras look along -z with y up.
        rotation = np.ascontiguousarray(camera.world_from_optical[:3, :3] @ np.diag([1.0, -1.0, -1.0]))
        quat = np.zeros(4)
        mujoco.mju_mat2Quat(quat, rotation.ravel())
        cam.pos[:], cam.quat[:] = camera.world_from_optical[:3, 3], quat
        cam.fovy[:] = math.degrees(2 * math.atan(camera.height_px / 2 / camera.focal_px))
        mujoco.mj_camlight(model, data)
        renderer.update_scene(data, "camera")
        rgb = renderer.render().copy()
        renderer.enable_depth_rendering()
        depth = renderer.render().astype(np.float32)
        renderer.disable_depth_rendering()
        renderer.enable_segmentation_rendering()
        ids = renderer.render()
        renderer.disable_segmentation_rendering()
        is_geom = ids[..., 1] == mujoco.mjtObj.mjOBJ_GEOM
        instances = np.where(is_geom, self._number_of_geom[np.where(is_geom, ids[..., 0], -1)], 0).astype(np.uint16)
        seen = [s for o in self.objects if (s := self._see(o, instances, camera)) is not None]
        return Observation(rgb, depth, instances, camera, seen)

    def _see(self, o: SimObject, instances: np.ndarray, camera: Camera) -> Seen | None:
        ys, xs = np.nonzero(instances == o.number)
        if len(xs) == 0:
            return None
        box = (float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
        pose = self.world_from_object(o)
        pixels = camera.project(o.corners_in_object_m @ pose[:3, :3].T + pose[:3, 3])
        share = 0.0
        if not np.isnan(pixels).any():
            whole = np.ptp(pixels, axis=0) + 1
            share = min(1.0, float((box[2] - box[0]) * (box[3] - box[1]) / np.prod(whole)))
        return Seen(o, box, len(xs), share, pose)

    def world_from_object(self, o: SimObject) -> np.ndarray:
        """Pose of an object, `[4, 4]`, metres."""
        body = self.data.body(f"object{o.number}")
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = body.xmat.reshape(3, 3), body.xpos
        return pose

    def close(self) -> None:
        """Frees the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
