"""COCO AP while training, so that a curve tells how it goes. What counts in the end is measured
by Owlet itself (`owlet eval`)."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from . import model as network
from .data import MEAN, STD
from .losses import corners
from .tokenizer import Tokens

LEAST_SCORE = 0.01


class Evaluation:
    """The pictures of a data set, kept at the network's size, and its truth."""

    def __init__(
        self, folder: Path, tokens: Tokens, side_px: int, most_images: int | None = None, device: str = "cpu"
    ) -> None:
        content = json.loads((folder / "annotations.json").read_text())
        self.images = content["images"][:most_images]
        kept = {image["id"] for image in self.images}
        content["images"] = self.images
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] in kept]
        pixels = [
            np.asarray(Image.open(folder / image["file_name"]).resize((side_px, side_px), Image.Resampling.BICUBIC))
            for image in self.images
        ]
        self.pixels = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).to(device)
        self.categories = content["categories"]
        self.ids = torch.tensor(tokens([category["texts"][0] for category in self.categories]), device=device)
        with contextlib.redirect_stdout(io.StringIO()):
            self.truth = COCO()
            self.truth.dataset = content
            self.truth.createIndex()

    @torch.no_grad()
    def ap50(self, model: torch.nn.Module) -> float:
        """AP at IoU 0.5 over all categories, each patch giving its best text as Owlet does."""
        model.eval()
        queries = network.embed_texts(model, self.ids)
        category_ids = np.array([category["id"] for category in self.categories])
        results = []
        for start in range(0, len(self.images), 32):
            values = self.pixels[start : start + 32].float() / 255
            mean, std = MEAN.to(values.device), STD.to(values.device)
            values = (values - mean[:, None, None]) / std[:, None, None]
            features, boxes = network.look(model, values)
            cosine = network.similarity(model, features, queries)
            score, text = network.class_logits(model, features, cosine).sigmoid().max(-1)
            score, text, boxes = score.cpu(), text.cpu(), corners(boxes).cpu()
            for image, s, t, b in zip(self.images[start:], score, text, boxes, strict=False):
                for i in (s > LEAST_SCORE).nonzero()[:, 0].tolist():
                    x0, y0, x1, y1 = b[i].clamp(0, 1).tolist()
                    w, h = image["width"], image["height"]
                    results.append(
                        {
                            "image_id": image["id"],
                            "category_id": int(category_ids[t[i]]),
                            "bbox": [x0 * w, y0 * h, (x1 - x0) * w, (y1 - y0) * h],
                            "score": float(s[i]),
                        }
                    )
        model.train()
        if not results:
            return 0.0
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(self.truth, self.truth.loadRes(results), "bbox")
            evaluation.params.iouThrs = np.array([0.5])
            evaluation.params.areaRng = [[0, 1e10]]
            evaluation.params.areaRngLbl = ["all"]
            evaluation.evaluate()
            evaluation.accumulate()
        precision = evaluation.eval["precision"][0, :, :, 0, -1]
        return float(precision[precision > -1].mean())
