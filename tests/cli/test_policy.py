"""`agentnet policy` and `agentnet freebusy`, as a person's shell runs them."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli.shells import Shell

DAY = ("--from", "2031-06-02", "--to", "2031-06-03", "--tz", "Etc/UTC")


def test_a_policy_that_was_set_is_shown(shell: Callable[..., Shell]) -> None:
    alice = shell("alice")
    done = alice("policy", "set", "*", "AVAILABILITY", "coarse")
    assert (done.code, done.err) == (0, "")

    rows = {row["queryType"]: row for row in alice("policy", "show", "--json").rows}

    assert rows["AVAILABILITY"] == {
        "peer": "*", "queryType": "AVAILABILITY", "level": "coarse", "chosen": True,
    }  # fmt: skip
    assert (rows["CUSTOM"]["level"], rows["CUSTOM"]["chosen"]) == ("ask", False)
    assert "ask  (not set)" in alice("policy").out


def test_bad_policies_are_refused_in_words(shell: Callable[..., Shell]) -> None:
    alice = shell("alice")
    unknown = alice("policy", "set", "nobody", "AVAILABILITY", "deny")
    assert (unknown.code, unknown.err) == (1, "agentnet policy: There is no contact nobody.\n")
    assert alice("policy", "set", "*", "AVAILABILITY", "all").code == 2
    kind = alice("policy", "set", "*", "SALARY", "deny")
    assert (kind.code, "AVAILABILITY, LOCATION_PREFERENCE" in kind.err) == (1, True)


def test_free_time_is_listed_by_its_start(shell: Callable[..., Shell]) -> None:
    alice = shell("alice")
    (row,) = alice("freebusy", *DAY, "--json").rows
    assert (row["state"], row["end"] - row["start"]) == ("free", 8 * 3_600_000)
    assert alice("freebusy", *DAY).out.startswith("free  2031-06-0")
    weekend = alice("freebusy", "--from", "2031-06-01T00:00Z", "--to", "2031-06-01T12:00Z")
    assert weekend.out == "Nothing is free and nothing is taken then.\n"
    back = alice("freebusy", "--from", "2031-06-02T00:00Z", "--to", "2031-06-01T00:00Z")
    assert (back.code, back.err) == (1, "agentnet freebusy: The end is not after the start.\n")
