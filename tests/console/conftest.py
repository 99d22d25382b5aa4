"""The town with letters in every state, in a real store, on both databases."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "portal"))

from stores import *
