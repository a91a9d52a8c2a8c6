"""One bucket per user: as strict as if it were never forgotten, and forgotten all the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.limits import TokenBucket
from asgi_realtime.messages import UserId
from asgi_realtime.user_rates import UserRates

ANN, BEN = UserId("ann"), UserId("ben")


@given(
    st.lists(st.tuples(st.sampled_from([ANN, BEN]), st.sampled_from([0.0, 0.1, 0.9, 1.5, 1.6, 3.1, 10.0]))),
    st.integers(1, 4),
)
def test_forgetting_changes_nothing(steps: list[tuple[UserId, float]], burst: int) -> None:
    rates = UserRates(2.0, burst)
    kept = {user_id: TokenBucket(2.0, burst, 100.0) for user_id in (ANN, BEN)}
    now = 100.0
    for user_id, passed in steps:
        now += passed
        assert rates.admits(user_id, now) == kept[user_id].take(now)


def test_users_who_say_nothing_are_forgotten() -> None:
    rates = UserRates(10.0, 100)
    for number in range(1_000):
        rates.admits(UserId(str(number)), 50.0)
    assert len(rates) == 1_000
    rates.admits(ANN, 60.0)
    assert len(rates) == 1_001, "the time of a full bucket is not over for those who came last"
    rates.admits(ANN, 70.0)
    assert len(rates) == 1
