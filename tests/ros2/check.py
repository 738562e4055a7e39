"""Owlet as a node of a real ROS 2: what other nodes and the tools of ROS see of it.

    source /opt/ros/jazzy/setup.bash            # and the workspace that has owlet_msgs
    cargo build --features ros2
    python3 -m pip install rosbags pillow pycocotools     # into the Python of ROS
    python3 tests/ros2/check.py [--only NAME …]

The ROS around it may run on any rmw (RMW_IMPLEMENTATION). On rmw_zenoh_cpp the checks start a
router of their own, and Owlet may speak as that rmw does, without the feature ros2:

    RMW_IMPLEMENTATION=rmw_zenoh_cpp python3 tests/ros2/check.py --transport rmw_zenoh

Frames of samples/tabletop go in through rclpy; what comes out is compared with what transformers
finds in them, and with what the simulator knows to be true. It keeps to a ROS domain of its own
(--domain). Where the package owlet is sourced, too, the launch files are tried as well. Stops at
the first failure and prints what was seen.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from harness import ROOT, Failed, Owlet, Program, until

sys.path.insert(0, str(ROOT / "scripts"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--owlet", nargs="+", default=[str(ROOT / "target/debug/owlet")], metavar="WORD",
        help="the program, built with the feature ros2 for the transport of that name",
    )  # fmt: skip
    parser.add_argument(
        "--transport", default="ros2", choices=["ros2", "rmw_zenoh"], help="what Owlet speaks"
    )
    parser.add_argument("--domain", default="87", help="ROS_DOMAIN_ID to keep to")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="checks to make, of those below")
    arguments = parser.parse_args()
    is_zenoh = os.environ.get("RMW_IMPLEMENTATION") == "rmw_zenoh_cpp"
    if arguments.transport == "rmw_zenoh" and not is_zenoh:
        parser.error("--transport rmw_zenoh: expected a ROS on RMW_IMPLEMENTATION=rmw_zenoh_cpp")
    # For this process and all that it starts.
    os.environ.update(ROS_DOMAIN_ID=arguments.domain, ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
    with router() if is_zenoh else nullcontext():
        run_checks(parser, arguments)


@contextmanager
def router() -> Iterator[None]:
    """The router of rmw_zenoh, at an address of its own, that whatever is started finds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp/127.0.0.1:{free.getsockname()[1]}"
    os.environ["ZENOH_CONFIG_OVERRIDE"] = f'listen/endpoints=["{address}"]'
    program = Program("ros2", "run", "rmw_zenoh_cpp", "rmw_zenohd")
    try:
        until("the router of rmw_zenoh", lambda: "Started Zenoh router" in program.said())
        # A node that finds no router says so and goes on alone; these find it before they go on.
        os.environ["ZENOH_CONFIG_OVERRIDE"] = f'connect/endpoints=["{address}"]'
        yield
    finally:
        program.kill()


def run_checks(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    try:
        import rclpy
    except ImportError as error:
        sys.exit(f"{error}: source a ROS 2 first")
    import contract
    import node
    import replay
    import shown
    import space

    rclpy.init()
    checks = {
        "node": node.node,
        "moved": node.moved,
        "refused": node.refused,
        "shutdown": node.shut_down,
        "contract": contract.contract,
        "clock": contract.clock,
        "shown": shown.shown,
        "space": space.space,
        "launch": node.launch_files,
        "replay": replay.replay,
    }
    # What a check needs beyond the messages.
    needed = {"launch": ["owlet"], "replay": ["owlet", "ros2bag"]}
    if unknown := set(arguments.only or ()) - set(checks):
        parser.error(f"--only: expected some of {', '.join(checks)}, found {', '.join(unknown)}")
    owlet = Owlet(arguments.owlet, arguments.transport)
    packages = subprocess.run(["ros2", "pkg", "list"], capture_output=True, text=True, check=True)
    for name, check in checks.items():
        if arguments.only and name not in arguments.only:
            continue
        missing = [it for it in needed.get(name, []) if it not in packages.stdout.split()]
        if missing:
            print(f"skipped: {name} (no package {', '.join(missing)} in the ROS that is sourced)")
            continue
        print(f"{name}: {check.__doc__.splitlines()[0]}", flush=True)
        started = time.monotonic()
        try:
            check(owlet)
        except Failed as failure:
            sys.exit(f"FAILED: {name}: {failure}")
        print(f"ok: {name} ({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
