"""TLS by certificate files: a server's options, and a client that accepts exactly one certificate."""

import re
import ssl
from pathlib import Path
from typing import Any

from components.errors import UserError

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
# For TLS 1.2, as Python's own default prefers; uvicorn's default are the oldest ones. TLS 1.3 has its own.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def server_options(cert: str | None, key: str | None) -> dict[str, Any]:
    """Return the options of `uvicorn.Config`; none without certificate and key.

    Raises:
      UserError: one of the files is missing, cannot be read, or does not fit the other.
    """
    if cert is None and key is None:
        return {}
    if cert is None or key is None:
        raise UserError(
            "TLS needs a certificate and its private key, both as PEM files. Give both or none. "
            f"Received: certificate {cert}, key {key}"
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise UserError(
            f"The certificate and its key cannot be used: {_reason(error)}. Both are PEM files, the key belongs to the "
            f"first certificate and has no password. Received: certificate {cert}, key {key}"
        ) from None
    return {"ssl_certfile": cert, "ssl_keyfile": key, "ssl_ciphers": _CIPHERS}


def accepting(cert: str) -> ssl.SSLContext:
    """Return the context of a client that accepts this certificate, whatever its names and issuer, and no other.

    Args:
      cert: PEM file; its first certificate counts, as in a server's file.

    Raises:
      UserError: the file cannot be read, or has no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # trust it without its issuer
    try:
        found = _CERTIFICATE.search(Path(cert).read_text(encoding="ascii"))
        context.load_verify_locations(cadata=found[0] if found else "")
    except (OSError, ValueError) as error:
        raise UserError(
            f"The server's certificate cannot be read: {_reason(error)}. Give a PEM file. Received: {cert}"
        ) from None
    return context


def _no_password() -> str:
    raise ValueError("the key has a password")  # OpenSSL would ask for it at the terminal


def _reason(error: OSError | ValueError) -> str:
    return str(getattr(error, "strerror", None) or getattr(error, "reason", None) or error)
