"""Lets the tests of this folder import `published_folders` and `slow_twins` whatever pytest's import mode is."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
