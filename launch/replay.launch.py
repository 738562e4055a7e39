"""A recording played through a live Owlet node, on the recording's clock.

    ros2 launch owlet replay.launch.py bag:=my_bag model:=owlvit-base-patch32 \\
        image:=/camera/image_raw prompts:='a mug'

The recording starts once the node has published its prompts, and the launch ends after it. All
arguments of owlet.launch.py hold here as well. As on a robot, frames that come while the model is
busy are dropped; `owlet replay` drops none.
"""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration, ThisLaunchFileDir

# Time for the last frames to come out, in seconds.
LAST_FRAMES_SECS = 2.0

ARGUMENTS = [
    DeclareLaunchArgument('bag', description='The recording: a folder or file that `ros2 bag` opens'),
    DeclareLaunchArgument('rate', default_value='1.0', description='How fast it is played'),
    DeclareLaunchArgument(
        'start_offset', default_value='0.0', description='Seconds that are left out at its start'),
]


def player(context):
    """The recording, once there is somebody to look at it."""
    parts = [LaunchConfiguration(part).perform(context).strip('/') for part in ('namespace', 'name')]
    prompts = '/'.join(['', *filter(None, parts), 'prompts'])
    prompts_are_there = ExecuteProcess(
        cmd=[
            'ros2', 'topic', 'echo', '--once',
            '--qos-reliability', 'reliable', '--qos-durability', 'transient_local',
            prompts, 'owlet_msgs/msg/PromptSet',
        ],
        output='log',
    )
    play = ExecuteProcess(
        cmd=[
            'ros2', 'bag', 'play', LaunchConfiguration('bag'),
            '--rate', LaunchConfiguration('rate'),
            '--start-offset', LaunchConfiguration('start_offset'),
            '--clock', '100',
        ],
        output='screen',
    )

    def after_prompts(event, _):
        if event.returncode == 0:
            return [play]
        return [Shutdown(reason=f'`ros2 topic echo {prompts}` has failed; the recording was not played')]

    end = TimerAction(
        period=LAST_FRAMES_SECS, actions=[Shutdown(reason='the recording has ended')])
    return [
        prompts_are_there,
        RegisterEventHandler(OnProcessExit(target_action=prompts_are_there, on_exit=after_prompts)),
        RegisterEventHandler(OnProcessExit(target_action=play, on_exit=[end])),
    ]


def generate_launch_description():
    """All of it."""
    node = IncludeLaunchDescription(
        [ThisLaunchFileDir(), '/owlet.launch.py'],
        launch_arguments={'use_sim_time': 'true'}.items(),
    )
    return LaunchDescription([*ARGUMENTS, node, OpaqueFunction(function=player)])
