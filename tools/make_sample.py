"""Makes samples/gallery, a recording of real photographs that tests and benchmarks replay.

A camera moves along a wall on which four photographs hang, goes closer to some and tilts a little.
The photographs are real ones, free of copyright, from the wheel of scikit-image (samples/README.md
says whose). The recording is a rosbag2 folder in MCAP, written by the Python package rosbags, which
shares no code with Owlet: JPEG frames as sensor_msgs/CompressedImage, and a CameraInfo with each.

Deterministic: the same package versions give the same bytes.

usage: python tools/make_sample.py   (needs rosbags 0.11.9, pillow 13.0.0, scikit-image 0.26.0)
"""

import io
import math
import shutil
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageFilter
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

OUT = Path(__file__).parent.parent / "samples/gallery"

WIDTH_PX, HEIGHT_PX = 640, 480
FRAMES, RATE_HZ = 24, 5
START_NS = 1_700_000_000_000_000_000
FRAME_ID = "camera_optical_frame"
JPEG_QUALITY = 85

# Each photograph, where its left upper corner hangs on the wall, and how wide it is there.
WALL_SIZE_PX = (3000, 1000)
WALL_COLOUR = (196, 190, 178)
PHOTOGRAPHS = [
    ("chelsea.png", (150, 250), 720),
    ("coffee.png", (980, 240), 740),
    ("astronaut.png", (1830, 160), 620),
    ("rocket.jpg", (2540, 330), 420),
]
# (frame, centre x, centre y, width of what is seen on the wall in px, tilt in degrees).
PATH = [
    (0, 620, 490, 1240, 0.0),
    (5, 520, 480, 720, -3.0),
    (11, 1340, 480, 900, 2.0),
    (17, 2140, 470, 760, 0.0),
    (23, 2380, 500, 1200, -2.0),
]


def make_wall() -> Image.Image:
    """The wall with its photographs, each with a light frame and a soft shadow."""
    wall = Image.new("RGB", WALL_SIZE_PX, WALL_COLOUR)
    folder = Path(skimage.__file__).parent / "data"
    for name, (left, top), width in PHOTOGRAPHS:
        photo = Image.open(folder / name).convert("RGB")
        height = round(photo.height * width / photo.width)
        photo = photo.resize((width, height), Image.Resampling.LANCZOS)
        shadow = Image.new("L", WALL_SIZE_PX, 0)
        shadow.paste(110, (left - 8, top - 4, left + width + 28, top + height + 32))
        shadow = shadow.filter(ImageFilter.GaussianBlur(14))
        wall.paste((70, 66, 60), (0, 0), shadow)
        wall.paste((238, 235, 228), (left - 18, top - 18, left + width + 18, top + height + 18))
        wall.paste(photo, (left, top))
    return wall


def pose_at(frame: int) -> tuple[float, float, float, float]:
    """Where the camera looks at a frame: smooth between the points of the path."""
    for before, after in zip(PATH, PATH[1:]):
        if before[0] <= frame <= after[0]:
            t = (frame - before[0]) / (after[0] - before[0])
            t = t * t * (3 - 2 * t)
            return tuple(a + (b - a) * t for a, b in zip(before[1:], after[1:]))
    raise ValueError(f"the path has no frame {frame}")


def see(wall: Image.Image, frame: int) -> Image.Image:
    """What the camera sees, taken at twice the size and halved against aliasing."""
    x, y, width, tilt_deg = pose_at(frame)
    scale = width / (2 * WIDTH_PX)
    cos, sin = math.cos(math.radians(tilt_deg)) * scale, math.sin(math.radians(tilt_deg)) * scale
    wall_from_frame = (cos, -sin, x - cos * WIDTH_PX + sin * HEIGHT_PX,
                       sin, cos, y - sin * WIDTH_PX - cos * HEIGHT_PX)  # fmt: skip
    large = wall.transform(
        (2 * WIDTH_PX, 2 * HEIGHT_PX),
        Image.Transform.AFFINE,
        wall_from_frame,
        Image.Resampling.BICUBIC,
        fillcolor=WALL_COLOUR,
    )
    return large.reduce(2)


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.parent.mkdir(exist_ok=True)
    wall = make_wall()
    store = get_typestore(Stores.ROS2_HUMBLE)
    kinds = store.types
    image_kind, info_kind = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"

    # A pinhole camera with a horizontal field of view of 60 degrees and no distortion.
    focal_px = WIDTH_PX / 2 / math.tan(math.radians(30))
    k = np.array([focal_px, 0, WIDTH_PX / 2, 0, focal_px, HEIGHT_PX / 2, 0, 0, 1])
    p = np.insert(k.reshape(3, 3), 3, 0, axis=1).ravel()

    with Writer(OUT, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        images = bag.add_connection("/camera/image_raw/compressed", image_kind, typestore=store)
        infos = bag.add_connection("/camera/camera_info", info_kind, typestore=store)
        for frame in range(FRAMES):
            stamp_ns = START_NS + frame * 1_000_000_000 // RATE_HZ
            header = kinds["std_msgs/msg/Header"](
                stamp=kinds["builtin_interfaces/msg/Time"](
                    sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000
                ),
                frame_id=FRAME_ID,
            )
            jpeg = io.BytesIO()
            see(wall, frame).save(jpeg, "JPEG", quality=JPEG_QUALITY)
            image = kinds[image_kind](
                header=header, format="jpeg", data=np.frombuffer(jpeg.getvalue(), np.uint8)
            )
            info = kinds[info_kind](
                header=header,
                height=HEIGHT_PX,
                width=WIDTH_PX,
                distortion_model="plumb_bob",
                d=np.zeros(5),
                k=k,
                r=np.eye(3).ravel(),
                p=p,
                binning_x=0,
                binning_y=0,
                roi=kinds["sensor_msgs/msg/RegionOfInterest"](
                    x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
                ),
            )
            # The recorder hears of a frame a little after its stamp, as on a robot.
            heard_ns = stamp_ns + 12_000_000
            bag.write(images, heard_ns, store.serialize_cdr(image, image_kind))
            bag.write(infos, heard_ns, store.serialize_cdr(info, info_kind))
    size = sum(file.stat().st_size for file in OUT.iterdir())
    print(f"{OUT.relative_to(OUT.parent.parent)}: {FRAMES} frames, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
