"""The simulated camera's command line: `python -m owlet_sim --help`."""

import argparse
import math
import sys
from pathlib import Path

from .sampling import COMBINATIONS
from .tabletop import USUAL_THINGS, Thing, parse_things


def _size(text: str) -> tuple[int, int]:
    width, height = (int(side) for side in text.split("x"))
    if width < 1 or height < 1:
        raise ValueError(text)
    return width, height


def _positive(text: str) -> float:
    number = float(text)
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(text)
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _table_things(text: str) -> list[Thing]:
    try:
        return parse_things(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main() -> int:
    """Runs the command line; gives the exit code."""
    parser = argparse.ArgumentParser(prog="owlet_sim", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    dataset = commands.add_parser("dataset", help="write random scenes as a COCO data set")
    dataset.add_argument("out", type=Path)
    dataset.add_argument("--scenes", type=_count, default=100)
    dataset.add_argument(
        "--views", type=_count, default=4, help="pictures of each scene, each with other colours and light"
    )
    dataset.add_argument("--seed", type=int, default=0)
    dataset.add_argument("--combinations", choices=COMBINATIONS, default="all", help="which colours each kind may have")
    dataset.add_argument("--size", type=_size, default=(320, 240), metavar="WxH")
    dataset.add_argument("--depth", action="store_true", help="write depth pictures, too (16 bit, mm)")
    dataset.add_argument("--workers", type=int, default=0, help="processes; 0: one for each core")

    bag = commands.add_parser("bag", help="record a camera's way around a table as a rosbag2 folder (MCAP)")
    bag.add_argument("out", type=Path, help="folder to make; it must not be there yet")
    bag.add_argument("--seconds", type=_positive, default=12.0, help="length; the camera goes round once")
    bag.add_argument("--raw", action="store_true", help="uncompressed images")
    _add_table_arguments(bag)

    sheet = commands.add_parser("sheet", help="a contact sheet of what the camera gives")
    sheet.add_argument("out", type=Path, help="picture to write")
    _add_scene_arguments(sheet)

    stream = commands.add_parser("stream", help="stream a camera's way around a table over zenoh, live")
    stream.add_argument(
        "--connect", action="append", default=[], metavar="ENDPOINT", help="router or peer; may be repeated"
    )
    stream.add_argument("--listen", action="append", default=[], metavar="ENDPOINT", help="where others may connect")
    stream.add_argument("--node", default="owlet", help="name of the Owlet node that is to look")
    stream.add_argument("--camera", default="front", help="name of the camera")
    stream.add_argument("--frames", type=_count, help="end after so many frames")
    stream.add_argument("--round-seconds", type=_positive, default=12.0, help="time to go round once")
    _add_table_arguments(stream)

    args = parser.parse_args()
    if args.command == "stream" and not (args.connect or args.listen):
        parser.error("stream: give --connect or --listen, or nobody can hear it")
    return _run(args)


def _add_scene_arguments(parser: argparse.ArgumentParser) -> None:
    """What lies on a table, and how."""
    parser.add_argument("--seed", type=int, default=0, help="how the things lie and their exact shades")
    parser.add_argument(
        "--things", type=_table_things, default=USUAL_THINGS, help="what lies on the table (default: %(default)s)"
    )


def _add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """What a camera over a table needs to know."""
    _add_scene_arguments(parser)
    parser.add_argument("--rate", type=_positive, default=5.0, metavar="HZ", help="frames in a second")
    parser.add_argument("--size", type=_size, default=(640, 480), metavar="WxH")


def _run(args: argparse.Namespace) -> int:
    """Runs a command; gives the exit code. Each needs packages that the others do not."""
    if args.command == "dataset":
        from . import dataset

        dataset.write(
            args.out, args.scenes, args.views, args.seed, args.combinations, args.size, args.depth, args.workers
        )
    elif args.command == "bag":
        from . import bag

        try:
            frames = bag.write(args.out, args.seed, args.things, args.seconds, args.rate, args.size, args.raw)
        except FileExistsError as error:
            return _failed(str(error))
        size = sum(file.stat().st_size for file in args.out.iterdir())
        print(f"{args.out}: {frames} frames, {size / 1e6:.2f} MB")
    elif args.command == "sheet":
        from . import sheet

        sheet.write(args.out, args.seed, args.things)
    else:
        import zenoh

        from . import stream

        config = stream.StreamConfig(
            node=args.node,
            camera=args.camera,
            things=args.things,
            seed=args.seed,
            size_px=args.size,
            rate_hz=args.rate,
            round_secs=args.round_seconds,
            frames=args.frames,
            connect=args.connect,
            listen=args.listen,
        )
        try:
            stream.run(config)
        except zenoh.ZError as error:
            # What follows is a place in zenoh's own source.
            return _failed(str(error).split(" at /")[0])
    return 0


def _failed(reason: str) -> int:
    print(f"owlet_sim: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
