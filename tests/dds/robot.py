"""A robot that speaks ROS 2 over DDS, with CycloneDDS alone: there is no ROS around it.

Types have ROS 2's names and fields, topics its names and quality of service, and the participant
tells of its node on `ros_discovery_info`, as every rmw over DDS does: the bridge serves nodes.
"""

from dataclasses import dataclass

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.annotations import final
from cyclonedds.idl.types import array, float64, int32, sequence, uint8, uint32
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration

# What rmw serializes: CDR version 1.
VERSION_1 = Policy.DataRepresentation(use_cdrv0_representation=True)
RELIABLE = Policy.Reliability.Reliable(duration(seconds=1))
DEFAULT = Qos(RELIABLE, Policy.Durability.Volatile, Policy.History.KeepLast(10), VERSION_1)
SENSOR_DATA = Qos(
    Policy.Reliability.BestEffort, Policy.Durability.Volatile, Policy.History.KeepLast(5), VERSION_1
)
LATCHED = Qos(RELIABLE, Policy.Durability.TransientLocal, Policy.History.KeepLast(1), VERSION_1)


def ros(package: str, name: str) -> dict:
    """How a class is called on the wire."""
    return {"typename": f"{package}::msg::dds_::{name}_"}


@dataclass
@final
class Time(IdlStruct, **ros("builtin_interfaces", "Time")):
    sec: int32 = 0
    nanosec: uint32 = 0


@dataclass
@final
class Header(IdlStruct, **ros("std_msgs", "Header")):
    stamp: Time
    frame_id: str


@dataclass
@final
class Image(IdlStruct, **ros("sensor_msgs", "Image")):
    header: Header
    height: uint32
    width: uint32
    encoding: str
    is_bigendian: uint8
    step: uint32
    data: sequence[uint8]


@dataclass
@final
class CompressedImage(IdlStruct, **ros("sensor_msgs", "CompressedImage")):
    header: Header
    format: str
    data: sequence[uint8]


@dataclass
@final
class Point(IdlStruct, **ros("geometry_msgs", "Point")):
    x: float64
    y: float64
    z: float64


@dataclass
@final
class Quaternion(IdlStruct, **ros("geometry_msgs", "Quaternion")):
    x: float64
    y: float64
    z: float64
    w: float64


@dataclass
@final
class Pose(IdlStruct, **ros("geometry_msgs", "Pose")):
    position: Point
    orientation: Quaternion


@dataclass
@final
class PoseWithCovariance(IdlStruct, **ros("geometry_msgs", "PoseWithCovariance")):
    pose: Pose
    covariance: array[float64, 36]


@dataclass
@final
class Point2D(IdlStruct, **ros("vision_msgs", "Point2D")):
    x: float64
    y: float64


@dataclass
@final
class Pose2D(IdlStruct, **ros("vision_msgs", "Pose2D")):
    position: Point2D
    theta: float64


@dataclass
@final
class BoundingBox2D(IdlStruct, **ros("vision_msgs", "BoundingBox2D")):
    center: Pose2D
    size_x: float64
    size_y: float64


@dataclass
@final
class ObjectHypothesis(IdlStruct, **ros("vision_msgs", "ObjectHypothesis")):
    class_id: str
    score: float64


@dataclass
@final
class ObjectHypothesisWithPose(IdlStruct, **ros("vision_msgs", "ObjectHypothesisWithPose")):
    hypothesis: ObjectHypothesis
    pose: PoseWithCovariance


@dataclass
@final
class Detection2D(IdlStruct, **ros("vision_msgs", "Detection2D")):
    header: Header
    results: sequence[ObjectHypothesisWithPose]
    bbox: BoundingBox2D
    id: str


@dataclass
@final
class Detection2DArray(IdlStruct, **ros("vision_msgs", "Detection2DArray")):
    header: Header
    detections: sequence[Detection2D]


@dataclass
@final
class Gid(IdlStruct, **ros("rmw_dds_common", "Gid")):
    data: array[uint8, 16]


@dataclass
@final
class NodeEntitiesInfo(IdlStruct, **ros("rmw_dds_common", "NodeEntitiesInfo")):
    node_namespace: str
    node_name: str
    reader_gid_seq: sequence[Gid]
    writer_gid_seq: sequence[Gid]


@dataclass
@final
class ParticipantEntitiesInfo(IdlStruct, **ros("rmw_dds_common", "ParticipantEntitiesInfo")):
    gid: Gid
    node_entities_info_seq: sequence[NodeEntitiesInfo]


def gid(entity) -> Gid:
    return Gid(list(entity.guid.bytes))


class Robot:
    """A participant with one node: a camera, and who reads what was found."""

    def __init__(self, domain: int, images: str, compressed: str, detections: list[str]) -> None:
        self.participant = DomainParticipant(domain)
        self.images = self._writer(images, Image)
        self.compressed = self._writer(compressed, CompressedImage)
        self.readers = {name: self._reader(name) for name in detections}
        topic = Topic(self.participant, "ros_discovery_info", ParticipantEntitiesInfo)
        self.discovery = DataWriter(self.participant, topic, qos=LATCHED)
        readers = [gid(reader) for reader in self.readers.values()]
        writers = [gid(self.images), gid(self.compressed)]
        node = NodeEntitiesInfo("/", "robot", readers, writers)
        self.discovery.write(ParticipantEntitiesInfo(gid(self.participant), [node]))

    def _writer(self, name: str, kind: type) -> DataWriter:
        topic = Topic(self.participant, f"rt{name}", kind)
        return DataWriter(self.participant, topic, qos=SENSOR_DATA)

    def _reader(self, name: str) -> DataReader:
        topic = Topic(self.participant, f"rt{name}", Detection2DArray)
        return DataReader(self.participant, topic, qos=DEFAULT)

    def has_readers(self) -> bool:
        """Whether somebody, who can only be the bridge, takes both kinds of pictures."""
        return all(
            writer.get_matched_subscriptions() for writer in (self.images, self.compressed)
        )

    def take(self) -> list[tuple[str, Detection2DArray]]:
        """What has come since the last time, with the topic."""
        return [(name, sample) for name, reader in self.readers.items() for sample in reader.take(100)]
