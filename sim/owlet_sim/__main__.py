"""The simulated camera's command line: `python -m owlet_sim --help`."""

import argparse
import os
from pathlib import Path

# Rendering in software, with no display; must be set before MuJoCo is imported.
os.environ.setdefault("MUJOCO_GL", "egl")

from .sampling import COMBINATIONS  # noqa: E402


def _size(text: str) -> tuple[int, int]:
    width, height = (int(side) for side in text.split("x"))
    return width, height


def main() -> None:
    parser = argparse.ArgumentParser(prog="owlet_sim", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    dataset = commands.add_parser("dataset", help="write random scenes as a COCO data set")
    dataset.add_argument("out", type=Path)
    dataset.add_argument("--scenes", type=int, default=100)
    dataset.add_argument("--views", type=int, default=4, help="pictures of each scene, each with other colours and light")
    dataset.add_argument("--seed", type=int, default=0)
    dataset.add_argument("--combinations", choices=COMBINATIONS, default="all", help="which colours each kind may have")
    dataset.add_argument("--size", type=_size, default=(320, 240), metavar="WxH")
    dataset.add_argument("--depth", action="store_true", help="write depth pictures, too (16 bit, mm)")
    dataset.add_argument("--workers", type=int, default=0, help="processes; 0: one for each core")

    args = parser.parse_args()
    if args.command == "dataset":
        from . import dataset

        dataset.write(
            args.out, args.scenes, args.views, args.seed, args.combinations, args.size, args.depth, args.workers
        )


if __name__ == "__main__":
    main()
