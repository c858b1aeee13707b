"""What holds for all tests."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts us in the background has Ctrl-C ignored, and every process that we start inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
