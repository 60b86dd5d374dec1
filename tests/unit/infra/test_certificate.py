"""The certificate that signs itself: what it says, and when it is made anew."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from infra.local.certificate import LIFETIME, RENEWAL, Certificate

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MOMENT = timedelta(seconds=1)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    made = Certificate(tmp_path / "tls")
    made.ensure(NOW)
    return made


def read(certificate: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.path.read_bytes())


def test_it_is_for_this_machine_and_signs_no_other(certificate: Certificate) -> None:
    made = read(certificate)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    basic = made.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS).value

    assert ["localhost"] == names.get_values_for_type(x509.DNSName)
    assert ["127.0.0.1", "::1"] == [str(ip) for ip in names.get_values_for_type(x509.IPAddress)]
    assert basic == x509.BasicConstraints(ca=False, path_length=None)
    assert made.issuer == made.subject


def test_it_stays_until_it_soon_expires(certificate: Certificate) -> None:
    first = certificate.path.read_text()

    certificate.ensure(NOW + LIFETIME - RENEWAL)
    assert first == certificate.path.read_text()

    later = NOW + LIFETIME - RENEWAL + MOMENT
    certificate.ensure(later)
    assert later + LIFETIME == read(certificate).not_valid_after_utc
    assert not certificate.due(later)


@pytest.mark.parametrize("damage", ["no certificate", "no key", "another key", "garbage"])
def test_what_does_not_fit_together_is_made_anew(
    tmp_path: Path, certificate: Certificate, damage: str
) -> None:
    match damage:
        case "no certificate":
            certificate.path.unlink()
        case "no key":
            certificate.key.unlink()
        case "another key":
            other = Certificate(tmp_path / "other")
            other.ensure(NOW)
            certificate.key.write_bytes(other.key.read_bytes())
        case "garbage":
            certificate.path.write_text("-----BEGIN")

    assert certificate.due(NOW)
    certificate.ensure(NOW)
    assert not certificate.due(NOW)
