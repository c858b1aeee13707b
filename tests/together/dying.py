"""The daemon, but for a life that is to die before it is healthy: while the file `die` lies in the home, outside of safe mode."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if Path(os.environ["ATT_HOME"], "die").exists() and "ATT_SAFE_MODE" not in os.environ:
    sys.exit(1)

from att.daemon import main

if __name__ == "__main__":
    sys.exit(main())
