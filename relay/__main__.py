"""`python -m relay`: the same as `agentnet-relay`."""

from relay.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
