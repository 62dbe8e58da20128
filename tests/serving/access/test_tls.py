"""Certificate files: mistakes in them, and a client that accepts exactly one certificate."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from components.errors import UserError
from serving.access import tls
from tests import bucket_server

Certificate = tuple[str, str]  # certificate and key


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[str], Certificate]:
    def make(name: str) -> Certificate:
        (folder := tmp_path / name).mkdir()
        bucket_server.certify(folder, [name])
        return str(folder / "certificate.pem"), str(folder / "key.pem")

    return make


def handshake(server_files: Certificate, client: ssl.SSLContext, version: ssl.TLSVersion) -> str:
    """Connect both sides in memory; returns the cipher, or raises what the client raises."""
    options = tls.server_options(*server_files)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(options["ssl_certfile"], options["ssl_keyfile"])
    server.set_ciphers(options["ssl_ciphers"])
    client.maximum_version = version
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    cipher = sides[0].cipher()
    assert cipher is not None
    return cipher[0]


def test_the_servers_certificate_is_accepted_whatever_its_name_and_no_other(
    certificate: Callable[[str], Certificate],
) -> None:
    own, other = certificate("models.example"), certificate("other.example")
    assert "GCM" in handshake(own, tls.accepting(own[0]), ssl.TLSVersion.TLSv1_2)
    assert handshake(own, tls.accepting(own[0]), ssl.TLSVersion.TLSv1_3).startswith("TLS_")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(other, tls.accepting(own[0]), ssl.TLSVersion.TLSv1_3)


def test_only_the_first_certificate_of_a_chain_is_accepted(certificate: Callable[[str], Certificate]) -> None:
    own, issuer = certificate("models.example"), certificate("issuer.example")
    chain = Path(own[0])
    chain.write_text(chain.read_text() + Path(issuer[0]).read_text())
    handshake(own, tls.accepting(own[0]), ssl.TLSVersion.TLSv1_3)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(issuer, tls.accepting(own[0]), ssl.TLSVersion.TLSv1_3)


def test_no_files_mean_no_tls() -> None:
    assert tls.server_options(None, None) == {}


def test_mistakes_are_reported(certificate: Callable[[str], Certificate], tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    own, other = certificate("models.example"), certificate("other.example")
    key = serialization.load_pem_private_key(Path(own[1]).read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    for cert, private, message in (
        (own[0], None, "Give both"),
        (None, own[1], "Give both"),
        (own[0], other[1], "cannot be used"),
        (own[0], str(locked), "has a password"),
        (str(tmp_path / "gone"), own[1], "No such file"),
        (own[1], own[1], "cannot be used"),
    ):
        with pytest.raises(UserError, match=f"{message}.*Received: certificate"):
            tls.server_options(cert, private)
    for path in (own[1], str(tmp_path / "gone"), str(tmp_path)):
        with pytest.raises(UserError, match="certificate cannot be read.*Received: "):
            tls.accepting(path)
