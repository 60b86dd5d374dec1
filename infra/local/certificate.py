"""A certificate for TLS on this machine, which signs itself: nobody else has to vouch for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAMES = ("localhost",)
ADDRESSES = ("127.0.0.1", "::1")
# Browsers refuse certificates of more than 398 days.
LIFETIME = timedelta(days=365)
# Made anew this long before it expires, so that it never does while nginx runs on for weeks.
RENEWAL = timedelta(days=30)
# A clock that is a little behind ours must not find it in the future.
LEEWAY = timedelta(hours=1)
OWNER_ONLY = 0o600
OWNER_ONLY_FOLDER = 0o700


@dataclass(frozen=True, slots=True)
class Certificate:
    """The two files of a certificate in a folder of their own, both PEM."""

    folder: Path

    @property
    def path(self) -> Path:
        """The certificate, also what a client has to trust."""
        return self.folder / "certificate.pem"

    @property
    def key(self) -> Path:
        """The private key; only its owner may read it."""
        return self.folder / "key.pem"

    def due(self, now: datetime | None = None) -> bool:
        """Say whether it has to be made: not there, damaged, not of its key, or soon expired."""
        try:
            certificate = x509.load_pem_x509_certificate(self.path.read_bytes())
            key = serialization.load_pem_private_key(self.key.read_bytes(), password=None)
        except (OSError, ValueError, TypeError):
            return True
        if certificate.public_key() != key.public_key():
            return True
        return certificate.not_valid_after_utc - (now or datetime.now(UTC)) < RENEWAL

    def ensure(self, now: datetime | None = None) -> None:
        """Make it where it is due."""
        if not self.due(now):
            return
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(key, now or datetime.now(UTC))
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self.folder.mkdir(parents=True, exist_ok=True, mode=OWNER_ONLY_FOLDER)
        _write(self.key, private)
        _write(self.path, certificate.public_bytes(serialization.Encoding.PEM))

    def fingerprint(self) -> str:
        """Tell certificates apart; another one where it is due."""
        return "due" if self.due() else self.path.read_text()


def _signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    """A certificate for the names of this machine, which can sign no other."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Orderflow, this machine only"),
            x509.NameAttribute(NameOID.COMMON_NAME, NAMES[0]),
        ]
    )
    names: list[x509.GeneralName] = [x509.DNSName(one) for one in NAMES]
    names += [x509.IPAddress(ip_address(one)) for one in ADDRESSES]
    public = key.public_key()
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName(names), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False),
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LEEWAY)
        .not_valid_after(now + LIFETIME)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())


def _write(path: Path, content: bytes) -> None:
    """Replace a file by one that nobody else could read at any moment."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
        file.write(content)
    draft.replace(path)
