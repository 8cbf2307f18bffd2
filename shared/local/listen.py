"""The listener as a child of ``plumbline local``: the function's own ``main``, ended with its parent."""

from __future__ import annotations

import runpy
import sys

from shared.local.children import terminate_with_parent
from shared.local.serve import FUNCTIONS

if __name__ == "__main__":
    terminate_with_parent()
    sys.exit(runpy.run_path(str(FUNCTIONS / "listen_chain" / "main.py"))["main"]())
