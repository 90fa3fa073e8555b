"""Makes the classes of the contract importable: the same that the component sees, with functions that a test replaces."""

import sys

import build

build.bindings()
sys.path.insert(0, str(build.BINDINGS))
