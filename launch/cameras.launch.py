"""Several cameras in one Owlet node: they share the model and go through it together.

    ros2 launch owlet cameras.launch.py model:=owlvit-base-patch32 prompts:='a mug' \\
        cameras:='front=/front/image_raw; rear=/rear/image_raw'

A camera is NAME=IMAGE, or NAME=IMAGE,CAMERA_INFO,DEPTH. Without CAMERA_INFO the calibration is the
`camera_info` beside the images. What is found goes out on /owlet/NAME/detections. All arguments of
owlet.launch.py but those of single topics (image, camera_info, depth, depth_camera_info) hold here
as well.
"""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.substitutions import LaunchConfiguration, ThisLaunchFileDir
from launch_ros.actions import SetRemap

FORM = 'NAME=IMAGE or NAME=IMAGE,CAMERA_INFO,DEPTH'


def camera(text):
    """The name of a camera, and the remappings of its topics."""
    name, equals, topics = text.partition('=')
    name, topics = name.strip(), [topic.strip() for topic in topics.split(',')]
    if not (equals and name and all(topics) and len(topics) <= 3):
        raise RuntimeError(f'launch argument cameras: expected {FORM}, found {text.strip()!r}')
    image = topics[0]
    beside = f'{image.rpartition("/")[0]}/camera_info'
    topic_of = {
        'image': image,
        'image/compressed': f'{image}/compressed',
        'camera_info': topics[1] if len(topics) > 1 else beside,
    }
    if len(topics) == 3:
        topic_of['depth'] = topics[2]
    return name, [SetRemap(f'{name}/{topic}', to) for topic, to in topic_of.items()]


def node(context):
    """The node with the topics of all cameras."""
    given = LaunchConfiguration('cameras').perform(context)
    cameras = [camera(text) for text in given.split(';') if text.strip()]
    names = [name for name, _ in cameras]
    if len(set(names)) != len(names) or not names:
        raise RuntimeError(f'launch argument cameras: expected different names, found {names}')
    include = IncludeLaunchDescription(
        [ThisLaunchFileDir(), '/owlet.launch.py'],
        launch_arguments={'cameras': ';'.join(names)}.items(),
    )
    return [GroupAction([*[remap for _, remaps in cameras for remap in remaps], include])]


def generate_launch_description():
    """All of it."""
    cameras = DeclareLaunchArgument(
        'cameras', description=f'The cameras, parted by semicolons, each {FORM}')
    return LaunchDescription([cameras, OpaqueFunction(function=node)])
