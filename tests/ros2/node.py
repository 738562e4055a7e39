"""The node by its own name and by others: topics, parameters, prompts, states, launch files, Ctrl-C."""

import re
import time

from harness import FRAMES, LOOKS_ITSELF, PATIENCE_SECS, PROMPTS, TOPIC, Owlet, Program, Robot
from harness import compare, expect, launched, prompt_of, ros2, running, show, until

# What a person who pressed Ctrl-C takes for "at once".
SOON_SECS = 1.0
# nms_iou as the reference was made with.
RUN = ["--prompts", PROMPTS, "--param", "nms_iou=0.5", "--ros-args"]


def node(owlet: Owlet) -> None:
    """One node with its default name: topics, services, parameters, states, Ctrl-C."""
    with (
        running(*owlet.run(*RUN, "-r", f"image:={TOPIC}"), node="/owlet") as program,
        Robot("/owlet/detections") as robot,
    ):
        print("  ", compare([robot.look() for _ in range(FRAMES)]))

        info = ros2("node", "info", "/owlet")
        for entry in [
            f"{TOPIC}/compressed: sensor_msgs/msg/CompressedImage",
            "/owlet/detections: vision_msgs/msg/Detection2DArray",
            "/diagnostics: diagnostic_msgs/msg/DiagnosticArray",
            "/owlet/set_prompts: owlet_msgs/srv/SetPrompts",
            "/owlet/get_prompts: owlet_msgs/srv/GetPrompts",
            "/owlet/teach: owlet_msgs/srv/Teach",
            "/owlet/detect: owlet_msgs/srv/Detect",
            "/owlet/set_parameters: rcl_interfaces/srv/SetParameters",
            "/owlet/change_state: lifecycle_msgs/srv/ChangeState",
            "/owlet/get_state: lifecycle_msgs/srv/GetState",
            "/owlet/get_available_states: lifecycle_msgs/srv/GetAvailableStates",
            "/owlet/get_available_transitions: lifecycle_msgs/srv/GetAvailableTransitions",
            "/owlet/transition_event: lifecycle_msgs/msg/TransitionEvent",
        ]:
            expect(entry in info, f"expected {entry!r} in\n{info}")
        topic = ros2("topic", "info", "-v", "/owlet/detections")
        expect(re.search(r"Node name: owlet\n(.*\n)*?.*Reliability: RELIABLE", topic), topic)
        echo(robot)
        parameters()
        prompts(robot)
        lifecycle(robot)
        interrupt(robot, program)


def interrupt(robot: Robot, program: Program) -> None:
    """Ctrl-C, while the model looks at a frame, ends the node in time, and everybody sees it go."""
    for _ in range(3):
        robot.camera.send()
        robot.spin(0.02)
    started = time.monotonic()
    code = program.interrupt()
    seconds = time.monotonic() - started
    print(f"   ended {seconds:.2f} s after SIGINT")
    expect(code == 0, f"Ctrl-C: expected exit code 0, found {code}\n{program.said()}")
    expect(seconds < SOON_SECS, f"Ctrl-C: expected an end within {SOON_SECS} s, not {seconds:.2f}")
    expect("/owlet" not in ros2("node", "list").split(), "the node is still in the graph")


def echo(robot: Robot) -> None:
    """`ros2 topic echo` hears what the node says."""
    listener = Program("ros2", "topic", "echo", "--once", "/owlet/detections", *LOOKS_ITSELF)
    try:
        until("an echo", lambda: robot.look() and listener.process.poll() is not None)
        said = listener.said()
        show("\n".join(said.splitlines()[:28]))
        expect("frame_id: camera_color_optical_frame" in said and "class_id: " in said, said)
    finally:
        listener.kill()


def parameters() -> None:
    """What can change does, within its range; what cannot says why."""
    listed = ros2("param", "list", "/owlet").split()
    for name in ("threshold", "segmenter", "picks", "pick_prompt", "heightmap", "watch_prompts"):
        expect(name in listed, f"no parameter {name} in {listed}")
    described = ros2("param", "describe", "/owlet", "threshold")
    for part in ("Type: double", "Min value: 0.0", "Max value: 1.0", "while running"):
        expect(part in described, f"expected {part!r} in {described}")
    described = ros2("param", "describe", "/owlet", "picks")
    expect("Read only: true" in described and "at start" in described, described)

    before = ros2("param", "get", "/owlet", "threshold")
    ros2("param", "set", "/owlet", "threshold", "0.4")
    expect("0.4" in ros2("param", "get", "/owlet", "threshold"), "threshold did not change")
    for name, value, reason in [
        ("threshold", "7.0", "from 0 to 1"),
        ("threshold", "high", "expected a number"),
        ("picks", "true", "when the program starts"),
        ("no_such", "1", "no_such"),
    ]:
        refused = ros2("param", "set", "/owlet", name, value)
        expect("failed" in refused and reason in refused, refused)
    expect("0.4" in ros2("param", "get", "/owlet", "threshold"), "a refused value was taken")
    ros2("param", "set", "/owlet", "threshold", before.split()[-1])
    dumped = ros2("param", "dump", "/owlet")
    expect("/owlet:" in dumped and "ros__parameters:" in dumped, dumped)


def prompts(robot: Robot) -> None:
    """A new set of prompts holds from the next frame on; a bad one changes nothing."""
    one = "{prompts: [{name: 'a mug', texts: ['a yellow mug'], threshold: [0.3]}]}"
    answer = ros2("service", "call", "/owlet/set_prompts", "owlet_msgs/srv/SetPrompts", one)
    expect("success=True" in answer, answer)
    until(
        "detections of the new prompt alone",
        lambda: {prompt_of(found) for found in robot.look()[1].detections} == {"a mug"},
    )
    bad = "{prompts: [{name: ' '}]}"
    answer = ros2("service", "call", "/owlet/set_prompts", "owlet_msgs/srv/SetPrompts", bad)
    expect("success=False" in answer and "reasons=['" in answer, answer)
    answer = ros2("service", "call", "/owlet/get_prompts", "owlet_msgs/srv/GetPrompts")
    expect("name='a mug'" in answer, answer)
    # As a parameter, too.
    ros2("param", "set", "/owlet", "prompts", "[a pink cup, a white plate]")
    until(
        "detections of the prompts of the parameter",
        lambda: (
            {prompt_of(found) for found in robot.look()[1].detections}
            == {"a pink cup", "a white plate"}
        ),
    )


def lifecycle(robot: Robot) -> None:
    """All the ways between the states, and nothing comes out where the node is not active."""
    from lifecycle_msgs.msg import TransitionEvent

    robot.listen("/owlet/transition_event", TransitionEvent)

    def state(expected: str) -> None:
        found = ros2("lifecycle", "get", "/owlet")
        is_it = re.search(rf"^{expected} \[", found, re.MULTILINE)
        expect(is_it, f"expected an {expected} node, found {found}")

    def change(way: str, goal: str) -> None:
        robot.newest.pop("/owlet/transition_event", None)
        ros2("lifecycle", "set", "/owlet", way)
        robot.wait("/owlet/transition_event", lambda told: told.goal_state.label == goal)
        state(goal)

    def is_silent() -> None:
        before = len(robot.found["/owlet/detections"])
        for _ in range(3):
            robot.camera.send()
            robot.spin(0.5)
        after = len(robot.found["/owlet/detections"])
        expect(after == before, f"{after - before} answers of a node that is not active")

    expect("/owlet" in ros2("lifecycle", "nodes").split(), "not among the managed nodes")
    state("active")
    change("deactivate", "inactive")
    is_silent()
    possible = ros2("lifecycle", "list", "/owlet")
    for way in ("cleanup", "activate", "shutdown"):
        expect(f"- {way} [" in possible, f"no {way} in {possible}")
    change("cleanup", "unconfigured")
    is_silent()
    ros2("lifecycle", "set", "/owlet", "activate", fails=True)
    change("configure", "inactive")
    change("activate", "active")
    expect(robot.look(), "no detections after it was active again")
    ros2("lifecycle", "set", "/owlet", "configure", fails=True)


def shut_down(owlet: Owlet) -> None:
    """`shutdown` is a state, not an end: the node says it is finalized until it is told to go."""
    with running(*owlet.run(*RUN, "-p", "autostart:=false"), node="/owlet") as program:
        expect("unconfigured" in ros2("lifecycle", "get", "/owlet"), "autostart:=false")
        ros2("lifecycle", "set", "/owlet", "shutdown")
        expect("finalized" in ros2("lifecycle", "get", "/owlet"), "expected a finalized node")
        expect(program.interrupt() == 0, program.said())


def moved(owlet: Owlet) -> None:
    """Another name, a namespace and other topics, through the arguments of ROS."""
    arguments = [
        "-r", "__ns:=/cell", "-r", "__node:=left", "-r", f"image:={TOPIC}",
        "-r", "left:~/detections:=/found", "-p", "threshold:=0.35",
    ]  # fmt: skip
    with (
        running(*owlet.run(*RUN, *arguments), node="/cell/left") as program,
        Robot("/found") as robot,
    ):
        print("  ", compare([robot.look() for _ in range(2)]))
        expect("0.35" in ros2("param", "get", "/cell/left", "threshold"), "-p threshold:=0.35")
        listed = ros2("topic", "list").split()
        for topic in ("/cell/left/prompts", "/cell/left/vision_info", "/diagnostics"):
            expect(topic in listed, f"no {topic} among {listed}")
        expect(program.interrupt() == 0, program.said())


def refused(owlet: Owlet) -> None:
    """What ROS would not take ends the start with the reason, exit code 2 and no panic."""
    program = Program(*owlet.run("--ros-args", "-r", "image"))
    code = program.process.wait(PATIENCE_SECS)
    show(program.said())
    expect(code == 2, f"expected exit code 2, found {code}")
    expect("panicked" not in program.said(), "it panicked")


def launch_files(owlet: Owlet) -> None:
    """`ros2 launch` with the launch files of the package."""
    shown = ros2("launch", "owlet", "owlet.launch.py", "--show-args")
    expect("'prompts_file'" in shown, shown)
    with launched(owlet, "owlet.launch.py", f"image:={TOPIC}", node="/cell/owlet") as program:
        with Robot("/cell/owlet/detections") as robot:
            print("  ", compare([robot.look() for _ in range(2)]))
            ends_cleanly(program)
    # Each of several cameras is answered on its own topic, by what it saw itself: they send different
    # frames of the recording.
    cameras = "cameras:=front=/front/image_raw; rear=/rear/image_raw"
    with launched(owlet, "cameras.launch.py", cameras, node="/cell/owlet") as program:
        with (
            Robot("/cell/owlet/front/detections", topic="/front/image_raw") as front,
            Robot("/cell/owlet/rear/detections", topic="/rear/image_raw") as rear,
        ):
            for name, robot, first in [("front", front, 0), ("rear", rear, 30)]:
                print(f"   {name}: {compare([robot.look(which=first + n) for n in range(2)])}")
            ends_cleanly(program)


def ends_cleanly(program: Program) -> None:
    """Ctrl-C ends launch and node."""
    code = program.interrupt()
    said = program.said()
    show("\n".join(said.splitlines()[-8:]))
    expect(code == 0 and "process has finished cleanly" in said, f"exit code {code}\n{said}")
