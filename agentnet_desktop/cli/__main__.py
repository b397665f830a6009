"""`python -m agentnet_desktop.cli` is `agentnet`."""

import sys

from agentnet_desktop.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
