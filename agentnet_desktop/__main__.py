"""`python -m agentnet_desktop` is `agentnet-desktop`."""

from agentnet_desktop.app import main

if __name__ == "__main__":
    raise SystemExit(main())
