import pytest

from gateway.paying import Preference, preference_of

pytestmark = pytest.mark.timeout(30)


@pytest.mark.parametrize(
    ("headers", "seconds", "applied"),
    [
        ([], 30, None),
        (["wait=5"], 5, "wait=5"),
        (["wait=500"], 30, "wait=30"),
        ([f"wait={'9' * 5000}"], 30, "wait=30"),
        (['Wait = "7"'], 7, "wait=7"),
        (["wait=0"], 0, "wait=0"),
        (["respond-async"], 0, "respond-async"),
        (["Respond-Async;x=1"], 0, "respond-async"),
        (["respond-async", "wait=10"], 10, "wait=10"),
        (["wait=3, wait=9"], 3, "wait=3"),
        (["wait=-1"], 30, None),
        (["wait=soon"], 30, None),
        (["wait=\u0665"], 30, None),
        (["return=minimal,,"], 30, None),
    ],
)
def test_a_client_waits_as_long_as_it_prefers(
    headers: list[str], seconds: int, applied: str | None
) -> None:
    assert Preference(seconds, applied) == preference_of(headers, 30)
