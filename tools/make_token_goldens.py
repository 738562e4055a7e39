#!/usr/bin/env python3
"""Makes tests/fixtures/owl_tokens/clip_ids.json: ids of many texts with CLIP's own vocabulary.

The vocabulary is not in the repository; the test that reads the ids finds it in the test data.

    pip install -r tools/requirements.txt
    python tools/make_token_goldens.py FOLDER     # with CLIP's vocab.json and merges.txt
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from transformers import CLIPTokenizer

TARGET = Path(__file__).resolve().parent.parent / "tests/fixtures/owl_tokens/clip_ids.json"

CLIP_TEXTS = """a photo of a cat|A Photo Of A CAT|a cat, a dog; and (perhaps) 2 mice|it's the robot's hand
they're, we've, I'm, you'll, he'd, DON'T|  leading\tand\n trailing  |naïve café, coöperate|e\u0301te\u0301
ÅNGSTRÖM straße|Ünïcödé|1234567890|3.14159|v2.0-beta_1|e-mail: a.b@c.org|100% #1 $5 & more|<html> [x] {y}
a\u00a0b\u2003c|日本語のテキスト|красная чашка|λόγος|תפוח|تفاحة|😀 cat 🐈‍⬛|🤖🦾|한국어|ﬁne ﬂow|İstanbul|ǅ Ⅷ ½ ²
\u200bzero\u200bwidth|tab\tseparated|wow!|!!!|what?!|...|-|'|'s|a|<|endoftext|>|supercalifragilistic
coke can|screw-driver|M4x12 bolt|USB-C|№ 5|x²+y²|Q&A|o'clock|rock'n'roll|\x00nul|\x7fdel|\ufeffbom
remote control|traffic cone|person in a hi-vis vest|fire extinguisher|pallet jack|door handle|a  b   c
Größe|Žluťoučký kůň|Việt Nam|ἀρχή|मानक हिन्दी|ไทย|l'école|#hashtag @user|50°C|¿qué?|“quoted”|a—b|a…b"""


def clip_texts():
    texts = [text for line in CLIP_TEXTS.split("\n") for text in line.split("|")]
    return texts + ["", " ", "<|endoftext|> b", "<|STARTOFTEXT|>c", "two\n\r lines", " ".join(["cat"] * 14)]


def make_clip_ids(vocabulary):
    """Ids with CLIP's own vocabulary (not in the repository), with and without OWL-ViT's padding
    token; and how many tokens a text has that is too long."""
    roles = {}
    for pad in ["!", "<|endoftext|>"]:
        with tempfile.TemporaryDirectory() as scratch:
            for name in ["vocab.json", "merges.txt"]:
                shutil.copyfile(vocabulary / name, Path(scratch) / name)
            config = {"pad_token": pad, "model_max_length": 16}
            (Path(scratch) / "tokenizer_config.json").write_text(json.dumps(config))
            tokenizer = CLIPTokenizer.from_pretrained(scratch)
        ids = [tokenizer(text, padding="max_length").input_ids for text in clip_texts()]
        roles[pad] = list(zip(clip_texts(), ids))
    lines = []
    for pad, rows in roles.items():
        rows = ",\n".join("  " + json.dumps(row, ensure_ascii=True) for row in rows)
        lines.append(f" {json.dumps(pad)}: [\n{rows}\n ]")
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    make_clip_ids(Path(sys.argv[1]))
