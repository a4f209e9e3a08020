"""How long a primary believes in itself once a site that could take over does not answer it any more (E1)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from failover.config.local import local_fleet_text
from failover.planner.gate import believed_for_s

seconds = st.floats(min_value=0.05, max_value=600.0)


@given(fresh_s=seconds, takeover_s=seconds)
def test_never_longer_than_the_others_need_to_find_it_down(fresh_s: float, takeover_s: float) -> None:
    assert believed_for_s(fresh_s=fresh_s, takeover_s=takeover_s, doubted=True) <= takeover_s
    assert believed_for_s(fresh_s=fresh_s, takeover_s=takeover_s, doubted=True) <= fresh_s
    assert believed_for_s(fresh_s=fresh_s, takeover_s=takeover_s, doubted=False) == fresh_s


def test_with_the_shipped_times_undoubted_evidence_alone_would_outlive_a_takeover() -> None:
    """Negative control: a takeover begins after 3 x 250 ms, and evidence counts for 2 s where nothing is doubted."""
    assert "fresh: 2s" in local_fleet_text()
    assert believed_for_s(fresh_s=2.0, takeover_s=0.75, doubted=False) > 0.75
    assert believed_for_s(fresh_s=2.0, takeover_s=0.75, doubted=True) <= 0.75
