"""How this project's own programs reach a server: address, API key and certificate."""

from components.errors import UserError
from pipeline.config.serving import AccessSettings, ServingSettings
from serving.client import status
from serving.client.status import HttpOptions


def base_url(settings: ServingSettings, port: int | None = None) -> str:
    """Return the URL by which this machine reaches a server with these settings; `port`: another one's than REST."""
    return status.base_url(settings.host, port or settings.rest_port, tls=settings.access.tls_cert is not None)


def options(access: AccessSettings, url: str) -> HttpOptions:
    """Return the options of httpx for requests to this address.

    Raises:
      UserError: the file of the keys or of the certificate cannot be read, or there is a certificate and no TLS.
    """
    if access.tls_cert is not None and not url.startswith("https:"):
        raise UserError(
            "A certificate needs an address that begins with https://; key and texts would be sent without encryption. "
            f"Received: {url} with the certificate {access.tls_cert}"
        )
    made: HttpOptions = {}
    if access.api_key_file is not None:
        from serving.access import keys  # late, as most commands need neither

        made["headers"] = keys.header(keys.read(access.api_key_file)[0])
    if access.tls_cert is not None:
        from serving.access import tls

        made["verify"] = tls.accepting(access.tls_cert)
    return made
