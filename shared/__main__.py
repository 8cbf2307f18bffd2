"""``python -m shared`` is ``plumbline``."""

from shared.cli import main

main()
