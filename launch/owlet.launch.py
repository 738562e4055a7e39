"""One Owlet node. `ros2 launch owlet owlet.launch.py --show-args` lists the arguments.

    ros2 launch owlet owlet.launch.py model:=owlvit-base-patch32 image:=/camera/color/image_raw \\
        prompts:='a mug; a bowl'

The default model, owlet-nano, knows simulated things only (`ros2 run owlet owlet pull …`).
An argument that is not given leaves its parameter to `params_file`, or else to the node's default.
"""

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare


def parts(text):
    """The parts of a text between semicolons."""
    return [part.strip() for part in text.split(';') if part.strip()]


def flag(text):
    """A flag as launch arguments have it."""
    known = {'true': True, '1': True, 'false': False, '0': False}
    if text.lower() not in known:
        raise ValueError('expected true or false')
    return known[text.lower()]


# Arguments that are parameters of the node, with what makes a value of the text.
PARAMETERS = {
    'model': str,
    'device': str,
    'prompts': parts,
    'prompts_file': os.path.abspath,
    'threshold': float,
    'cameras': parts,
    'autostart': flag,
    'use_sim_time': flag,
}

# Topics that belong to those of images, by the node's names for them.
AROUND = ['camera_info', 'depth', 'depth_camera_info']

ARGUMENTS = [
    DeclareLaunchArgument(
        'model', default_value='',
        description='Model: a known name (`owlet models` lists them) or a folder. Not given: what '
                    'params_file says, or else owlet-nano, which knows simulated things only'),
    DeclareLaunchArgument(
        'device', default_value='',
        description='Where the model runs: auto, cpu, cuda or cuda:N'),
    DeclareLaunchArgument(
        'prompts', default_value='',
        description="What to look for, parted by semicolons: 'a mug; a bowl'"),
    DeclareLaunchArgument(
        'prompts_file', default_value='',
        description='YAML file of prompts with synonyms, thresholds and distractors'),
    DeclareLaunchArgument(
        'threshold', default_value='',
        description='Lowest score that is reported, 0 to 1, for prompts with none of their own'),
    DeclareLaunchArgument(
        'image', default_value='image',
        description='Image topic; compressed images are taken from <image>/compressed'),
    DeclareLaunchArgument(
        'camera_info', default_value='camera_info',
        description='Topic of the calibration of the camera'),
    DeclareLaunchArgument(
        'depth', default_value='depth',
        description='Topic of depth images, for places in space. Where they do not lie on the '
                    'images they need depth_camera_info, and tf between the two cameras'),
    DeclareLaunchArgument(
        'depth_camera_info', default_value='depth_camera_info',
        description='Topic of the calibration of the depth camera'),
    DeclareLaunchArgument(
        'cameras', default_value='',
        description='Names of several cameras, parted by semicolons, instead of image, camera_info '
                    'and depth: images of each come on <name>/image (see cameras.launch.py)'),
    DeclareLaunchArgument(
        'name', default_value='owlet', description='Name of the node'),
    DeclareLaunchArgument(
        'namespace', default_value='', description='Namespace of the node'),
    DeclareLaunchArgument(
        'autostart', default_value='',
        description='true or false: whether the node configures and activates itself; false leaves '
                    'that to a lifecycle manager. Not given: what params_file says, or else true'),
    DeclareLaunchArgument(
        'use_sim_time', default_value='',
        description='true or false: whether the time is that of /clock, for the node and for rviz. '
                    'Not given: what params_file says for the node, or else false'),
    DeclareLaunchArgument(
        'params_file', default_value='',
        description='Parameter file of the node; arguments that are given win over it'),
    DeclareLaunchArgument(
        'transport', default_value='ros2', choices=['ros2', 'rmw_zenoh'],
        description='ros2: through the ROS around it, for every rmw. rmw_zenoh: what Owlet brings '
                    'itself, for a ROS that runs on rmw_zenoh'),
    DeclareLaunchArgument(
        'log_level', default_value='info', choices=['debug', 'info', 'warn', 'error', 'fatal'],
        description='The least that the node says on its console'),
    DeclareLaunchArgument(
        'rviz', default_value='false', choices=['true', 'false'],
        description='Whether to look at it in rviz2'),
]


def overrides(context):
    """The parameters of the arguments that were given."""
    values = {}
    for name, value_of in PARAMETERS.items():
        text = LaunchConfiguration(name).perform(context).strip()
        if not text:
            continue
        try:
            values[name] = value_of(text)
        except ValueError as error:
            raise RuntimeError(f'launch argument {name}: {error}, found {text!r}') from error
    return values


def nodes(context):
    """The node, its end as the end of the launch, and rviz where it is asked for."""
    params_file = LaunchConfiguration('params_file').perform(context)
    if params_file and not os.path.isfile(params_file):
        raise RuntimeError(f'launch argument params_file: there is no file {params_file!r}')
    image = LaunchConfiguration('image').perform(context)
    remappings = [
        (name, topic)
        for name, topic in [
            ('image', image),
            ('image/compressed', f'{image}/compressed'),
            *[(name, LaunchConfiguration(name).perform(context)) for name in AROUND],
        ]
        if name != topic
    ]
    given = overrides(context)
    # An empty set of parameters is none that rcl would read.
    nodes_own = [parameters for parameters in (params_file, given) if parameters]
    clock = {name: given[name] for name in given if name == 'use_sim_time'}
    return [
        Node(
            package='owlet',
            executable='owlet',
            name=LaunchConfiguration('name'),
            namespace=LaunchConfiguration('namespace'),
            arguments=['run', '--transport', LaunchConfiguration('transport')],
            ros_arguments=['--log-level', LaunchConfiguration('log_level')],
            parameters=nodes_own,
            remappings=remappings,
            output='screen',
            emulate_tty=True,
            on_exit=Shutdown(reason='the node has ended'),
        ),
        Node(
            package='rviz2',
            executable='rviz2',
            arguments=[
                '-d', PathJoinSubstitution([FindPackageShare('owlet'), 'launch', 'owlet.rviz'])],
            parameters=[clock] if clock else [],
            condition=IfCondition(LaunchConfiguration('rviz')),
        ),
    ]


def generate_launch_description():
    """All of it."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=nodes)])
