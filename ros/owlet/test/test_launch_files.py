"""The launch files, run by launch itself with programs in place of `owlet`, `ros2` and `rviz2` that only
write down how they were called."""

import json
import os
import stat
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

SOURCE = Path(os.environ.get('OWLET_SOURCE', Path(__file__).parents[3]))

# Notes its arguments and the parameter files among them. The node, whose end is that of the launch,
# stays until it is told to go where STAYS is set, or until the program that WAITS_FOR names was called.
PROGRAM = '''
    #!{python}
    import json, os, signal, sys, time
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    arguments = sys.argv[1:]
    files = [to for at, to in zip(arguments, arguments[1:]) if at == '--params-file']
    called = {{'program': {name!r}, 'arguments': arguments, 'files': [open(file).read() for file in files]}}
    with open({log!r}, 'a') as log:
        log.write(json.dumps(called) + chr(10))
    if {name!r} == 'owlet' and 'STAYS' in os.environ:
        time.sleep(60)
    if {name!r} == 'owlet' and 'WAITS_FOR' in os.environ:
        awaited, until = json.dumps({{'program': os.environ['WAITS_FOR']}})[:-1], time.time() + 60
        while awaited not in open({log!r}).read() and time.time() < until:
            time.sleep(0.05)
'''


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a launch file; what it called, in order, and its exit code."""
    log = tmp_path / 'called.jsonl'
    index = tmp_path / 'share/ament_index/resource_index/packages'
    index.mkdir(parents=True)
    for package in ('owlet', 'rviz2'):
        (index / package).touch()
    for folder, name in [('lib/owlet', 'owlet'), ('lib/rviz2', 'rviz2'), ('bin', 'ros2')]:
        (tmp_path / folder).mkdir(parents=True)
        program = tmp_path / folder / name
        text = textwrap.dedent(PROGRAM).strip()
        program.write_text(text.format(python=sys.executable, name=name, log=str(log)) + '\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    share = tmp_path / 'share/owlet'
    share.mkdir()
    (share / 'launch').symlink_to(SOURCE / 'launch')
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path}:{os.environ.get("AMENT_PREFIX_PATH", "")}')
    monkeypatch.setenv('PATH', f'{tmp_path / "bin"}:{os.environ["PATH"]}')
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'log'))

    def run(file, **arguments):
        include = IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(share / 'launch' / file)),
            launch_arguments=arguments.items(),
        )
        service = LaunchService(noninteractive=True)
        service.include_launch_description(LaunchDescription([include]))
        code = service.run()
        lines = log.read_text().splitlines() if log.exists() else []
        return [json.loads(line) for line in lines], code

    return run


def remaps(called):
    """The remapping rules that a program was given."""
    pairs = zip(called['arguments'], called['arguments'][1:])
    return dict(rule.split(':=') for option, rule in pairs if option in ('-r', '--remap'))


def parameters(called):
    """The parameters that a program was given, the later ones winning. Launch writes lists as tuples
    of Python."""
    values = {}
    for text in called['files']:
        for section in yaml.full_load(text).values():
            values.update(section['ros__parameters'])
    return values


def test_without_arguments_the_node_keeps_its_defaults(run):
    [called], code = run('owlet.launch.py')
    assert code == 0
    assert called['arguments'][:4] == ['run', '--transport', 'ros2', '--ros-args']
    assert remaps(called) == {'__node': 'owlet', '__ns': '/'}
    assert called['files'] == []


def test_an_argument_that_is_not_given_leaves_the_params_file_its_word(run, tmp_path):
    params_file = tmp_path / 'params.yaml'
    params_file.write_text('/**: {ros__parameters: {autostart: false, use_sim_time: true}}')
    [called], _ = run('owlet.launch.py', params_file=str(params_file))
    assert parameters(called) == {'autostart': False, 'use_sim_time': True}
    [_, called], _ = run(
        'owlet.launch.py', params_file=str(params_file), autostart='true', use_sim_time='false')
    assert parameters(called) == {'autostart': True, 'use_sim_time': False}


@pytest.mark.parametrize('use_sim_time', [None, True, False])
def test_rviz_gets_the_clock_that_was_asked_for(run, monkeypatch, use_sim_time):
    monkeypatch.setenv('WAITS_FOR', 'rviz2')
    given = {} if use_sim_time is None else {'use_sim_time': str(use_sim_time).lower()}
    called, _ = run('owlet.launch.py', rviz='true', **given)
    [rviz] = [each for each in called if each['program'] == 'rviz2']
    [config] = [each for each in rviz['arguments'] if each.endswith('.rviz')]
    assert (SOURCE / 'launch' / Path(config).name).is_file()
    assert parameters(rviz).get('use_sim_time') == use_sim_time


def test_every_argument_reaches_the_node(run, tmp_path):
    params_file = tmp_path / 'params.yaml'
    params_file.write_text('/**: {ros__parameters: {threshold: 0.9, max_batch: 2}}')
    [called], _ = run(
        'owlet.launch.py', model='owlvit-base-patch32', device='cuda:1', prompts='a mug; a bowl',
        prompts_file='/cfg/prompts.yaml', threshold='0.25', image='/cam/image_raw',
        camera_info='/cam/camera_info', depth='/cam/depth', depth_camera_info='/cam/depth_info',
        name='eyes', namespace='cell', autostart='false', use_sim_time='true',
        params_file=str(params_file), transport='rmw_zenoh', log_level='debug')
    assert called['arguments'][:3] == ['run', '--transport', 'rmw_zenoh']
    assert remaps(called) == {
        '__node': 'eyes', '__ns': '/cell', 'image': '/cam/image_raw',
        'image/compressed': '/cam/image_raw/compressed', 'camera_info': '/cam/camera_info',
        'depth': '/cam/depth', 'depth_camera_info': '/cam/depth_info',
    }
    assert parameters(called) == {
        'model': 'owlvit-base-patch32', 'device': 'cuda:1', 'prompts': ('a mug', 'a bowl'),
        'prompts_file': '/cfg/prompts.yaml', 'threshold': 0.25, 'max_batch': 2,
        'autostart': False, 'use_sim_time': True,
    }
    assert called['arguments'][called['arguments'].index('--log-level') + 1] == 'debug'


@pytest.mark.parametrize('arguments', [
    {'threshold': 'low'}, {'autostart': 'maybe'}, {'params_file': '/nowhere.yaml'},
    {'transport': 'carrier pigeon'}, {'log_level': 'loud'},
])
def test_a_wrong_argument_starts_nothing(run, arguments):
    called, code = run('owlet.launch.py', **arguments)
    assert (called, code) == ([], 1)


def test_cameras_get_their_topics(run):
    [called], code = run(
        'cameras.launch.py', cameras='front=/front/image_raw; rear=/rear/rgb,/rear/info,/rear/depth',
        prompts='a mug', log_level='warn')
    assert code == 0
    rules = remaps(called)
    del rules['__node'], rules['__ns']
    assert rules == {
        'front/image': '/front/image_raw', 'front/image/compressed': '/front/image_raw/compressed',
        'front/camera_info': '/front/camera_info', 'rear/image': '/rear/rgb',
        'rear/image/compressed': '/rear/rgb/compressed', 'rear/camera_info': '/rear/info',
        'rear/depth': '/rear/depth',
    }
    given = parameters(called)
    assert (given['cameras'], given['prompts']) == (('front', 'rear'), ('a mug',))


@pytest.mark.parametrize('cameras', ['', 'front', 'front=', '=/image', 'a=/x,/y,/z,/w', 'a=/x;a=/y'])
def test_cameras_that_are_none_start_nothing(run, cameras):
    called, code = run('cameras.launch.py', cameras=cameras)
    assert (called, code) == ([], 1)


def test_a_recording_is_played_once_the_prompts_are_there(run, monkeypatch):
    monkeypatch.setenv('STAYS', '1')
    called, code = run(
        'replay.launch.py', bag='my_bag', rate='0.5', namespace='/cell', prompts='a mug')
    assert code == 0
    node = [each for each in called if each['program'] == 'owlet']
    assert [parameters(each)['use_sim_time'] for each in node] == [True]
    wait, play = [each['arguments'] for each in called if each['program'] == 'ros2']
    assert wait[:2] == ['topic', 'echo']
    assert wait[-2:] == ['/cell/owlet/prompts', 'owlet_msgs/msg/PromptSet']
    assert play[:3] == ['bag', 'play', 'my_bag']
    assert play[play.index('--rate') + 1] == '0.5'
    assert '--clock' in play
