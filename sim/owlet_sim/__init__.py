"""A simulated RGB-D camera that looks at tables and bins with objects whose names it knows."""

import os

# Rendering in software, with no display; must be set before MuJoCo is imported.
os.environ.setdefault("MUJOCO_GL", "egl")
