import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metrics import OTHER, OWN, SEGMENTS, template

pytestmark = pytest.mark.timeout(30)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/livez", "/livez"),
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/api/orders", "/api/orders"),
        ("/api/orders/42/cancel", "/api/orders"),
        ("/api/readyz", "/api/readyz"),
        ("/api/orderz", "/api/other"),
        ("/livez/x", "other"),
        ("/wp-login.php", "other"),
        ("*", "other"),
    ],
)
def test_a_path_is_counted_under_its_known_first_part(path: str, expected: str) -> None:
    assert expected == template(path)


@given(st.one_of(st.text(), st.lists(st.text()).map(lambda parts: "/" + "/".join(parts))))
def test_no_path_makes_a_label_that_is_not_known_before(path: str) -> None:
    known = {OTHER, "/api", f"/api/{OTHER}"}
    known |= {f"/{name}" for name in OWN} | {f"/api/{name}" for name in SEGMENTS}
    assert template(path) in known
