"""The certificate that the node's HTTPS shows: a configured one, or one of its own, which the trainer pins."""

import hashlib
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from earshot_node.contract.config import HttpSection
from earshot_node.deployment.durable import make_folder, write_file
from earshot_node.errors import OperatorError

OWN_KEY: Final = "http_key.pem"
OWN_CERTIFICATE: Final = "http_certificate.pem"
SHOWN: Final = "http_shown.pem"
"""What the running node shows, for clients on the same machine."""
_LASTS: Final = timedelta(days=3650)
_END: Final = "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and where its key is.

    Attributes:
        sha256: of the certificate (DER), what is pinned.
        pem: the certificate alone, without its chain.
    """

    certificate_file: Path
    key_file: Path
    sha256: str
    pem: str

    def server_context(self) -> ssl.SSLContext:
        """Return what a server needs.

        Raises:
            OperatorError: certificate and key do not belong together.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            raise OperatorError(
                f"http.certificate_file: {self.certificate_file} cannot be used with its key: {error}"
            ) from error
        return context


def certificate_of(config: HttpSection, state_dir: Path) -> Certificate | None:
    """Return the certificate of a node, None if it speaks plain HTTP; its own is made once.

    Raises:
        OperatorError: it cannot be read or made.
    """
    if not config.speaks_https:
        return None
    if config.certificate_file:
        certificate, key = Path(config.certificate_file), Path(config.key_file or config.certificate_file)
    else:
        certificate, key = state_dir / OWN_CERTIFICATE, state_dir / OWN_KEY
        if not (certificate.exists() and key.exists()):
            _make(certificate, key)
    try:
        pem = _first(certificate.read_text(encoding="ascii"))
        der = ssl.PEM_cert_to_DER_cert(pem)
    except (OSError, ValueError) as error:
        raise OperatorError(f"http.certificate_file: {certificate} cannot be read as a certificate: {error}") from error
    return Certificate(certificate, key, hashlib.sha256(der).hexdigest(), pem)


def show(certificate: Certificate | None, state_dir: Path) -> None:
    """Tell clients on this machine what the running node shows.

    Raises:
        OSError: the disk refuses.
    """
    path = state_dir / SHOWN
    if certificate is None:
        path.unlink(missing_ok=True)
    else:
        write_file(path, certificate.pem.encode())


def client_context(state_dir: Path) -> ssl.SSLContext | None:
    """Return how a client on this machine checks the running node: it must show exactly that certificate.

    None where the node speaks plain HTTP.
    """
    path = state_dir / SHOWN
    if not path.exists():
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the certificate itself is what is trusted, whatever it is called
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(path)
    return context


def _first(text: str) -> str:
    if _END not in text:
        raise ValueError("no certificate inside")
    return text[text.index("-----BEGIN CERTIFICATE-----") : text.index(_END) + len(_END)] + "\n"


def _make(certificate: Path, key: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "earshot node")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LASTS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    try:
        make_folder(certificate.parent)
        write_file(key, private.private_bytes(encoding, form, serialization.NoEncryption()))
        write_file(certificate, made.public_bytes(encoding))
    except OSError as error:
        raise OperatorError(
            f"{error.filename or os.fspath(key)}: the node's certificate cannot be kept ({error.strerror}); "
            "check node.state_dir"
        ) from error
