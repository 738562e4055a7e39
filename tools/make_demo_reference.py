"""Makes samples/reference_detections.json: what the reference finds in the demo's recording.

The checkpoint is models/owlet-nano, the recording samples/tabletop, and samples/prompts.yaml says
what is looked for. Python's transformers loads the first, rosbags reads the second, Pillow decodes
the frames: no code is shared with Owlet beyond libtorch itself. `make demo` compares
(scripts/compare_demo.py).

Kept of each frame: every patch whose best prompt scores at least the threshold less MARGIN. The
margin is there so that a detection that falls on the other side of the threshold by rounding still
finds its partner.

usage: python tools/make_demo_reference.py
(needs torch 2.11.0, torchvision 0.26.0, transformers 5.23.0, pillow 13.0.0, rosbags 0.11.9,
ruamel.yaml)
"""

import hashlib
import importlib.metadata
import io
import json
from pathlib import Path

import torch
from PIL import Image
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from ruamel.yaml import YAML
from torchvision.ops import batched_nms
from transformers import OwlViTForObjectDetection, OwlViTProcessor

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
MODEL = ROOT / "models/owlet-nano"
ASKED = YAML(typ="safe").load((SAMPLES / "prompts.yaml").read_text())
PROMPTS, THRESHOLD = ASKED["prompts"], ASKED["default_threshold"]
MARGIN = 0.01
# As scripts/demo sets it.
NMS_IOU = 0.5


def read_frames(bag: Path):
    """Yields (topic, stamp in ns, picture) of every image of the recording."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    with Reader(bag) as reader:
        for connection, _, data in reader.messages():
            if connection.msgtype == "sensor_msgs/msg/CompressedImage" and "color" in connection.topic:
                message = store.deserialize_cdr(data, connection.msgtype)
                stamp = message.header.stamp
                picture = Image.open(io.BytesIO(message.data.tobytes())).convert("RGB")
                yield connection.topic, stamp.sec * 1_000_000_000 + stamp.nanosec, picture


def detect(model, processor, picture: Image.Image) -> list[dict]:
    """The reference's own way from a picture to boxes, in pixels of the picture, best first."""
    inputs = processor(text=[PROMPTS], images=picture, return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    found = processor.image_processor.post_process_object_detection(
        outputs, threshold=THRESHOLD - MARGIN, target_sizes=[(picture.height, picture.width)]
    )[0]
    kept = batched_nms(found["boxes"], found["scores"], found["labels"], NMS_IOU)
    found = {name: values[kept] for name, values in found.items() if isinstance(values, torch.Tensor)}
    # Owlet clips boxes to the picture.
    limit = torch.tensor([picture.width, picture.height] * 2)
    boxes = found["boxes"].clamp(min=0).minimum(limit)
    detections = [
        {
            "prompt": PROMPTS[label],
            "score": round(score, 6),
            "box_px": [round(value, 3) for value in box],
        }
        for score, label, box in zip(
            found["scores"].tolist(), found["labels"].tolist(), boxes.tolist()
        )
    ]
    return sorted(detections, key=lambda detection: -detection["score"])


def main() -> None:
    model = OwlViTForObjectDetection.from_pretrained(MODEL, dtype=torch.float32).eval()
    processor = OwlViTProcessor.from_pretrained(MODEL)
    frames = [
        {"topic": topic, "stamp_ns": stamp_ns, "detections": detect(model, processor, picture)}
        for topic, stamp_ns, picture in read_frames(SAMPLES / "tabletop")
    ]
    weights = (MODEL / "model.safetensors").read_bytes()
    reference = {
        "made_by": "tools/make_demo_reference.py",
        "versions": {
            name: importlib.metadata.version(name)
            for name in ["torch", "torchvision", "transformers", "pillow", "rosbags"]
        },
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "prompts": PROMPTS,
        "threshold": THRESHOLD,
        "margin": MARGIN,
    }
    # One line for each frame, so that a change can be read.
    head = json.dumps(reference, indent=1)[:-2]
    body = ",\n".join("  " + json.dumps(frame, separators=(",", ":")) for frame in frames)
    text = f'{head},\n "frames": [\n{body}\n ]\n}}\n'
    assert json.loads(text)["frames"] == frames
    (SAMPLES / "reference_detections.json").write_text(text)
    counts = [
        sum(found["score"] >= THRESHOLD for found in frame["detections"]) for frame in frames
    ]
    print(f"{len(frames)} frames, {min(counts)} to {max(counts)} detections each")


if __name__ == "__main__":
    main()
