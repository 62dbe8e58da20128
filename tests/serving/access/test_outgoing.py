"""Address, key and certificate of the requests that this project's commands send."""

import ssl
from pathlib import Path

import pytest

from components.errors import UserError
from pipeline.config.serving import AccessSettings, ServingSettings
from serving.access import outgoing
from tests import bucket_server

KEY = "a-key-0123456789"


@pytest.fixture
def access(tmp_path: Path) -> AccessSettings:
    bucket_server.certify(tmp_path)
    (tmp_path / "keys").write_text(f"{KEY}\nanother-key-0123456789\n")
    return AccessSettings(api_key_file=str(tmp_path / "keys"), tls_cert=str(tmp_path / "certificate.pem"))


def test_address_follows_the_settings(access: AccessSettings) -> None:
    assert outgoing.base_url(ServingSettings()) == "http://127.0.0.1:8501"
    settings = ServingSettings(host="0.0.0.0", access=access)
    assert outgoing.base_url(settings) == "https://127.0.0.1:8501"
    assert outgoing.base_url(settings, 8502) == "https://127.0.0.1:8502"


def test_the_first_key_is_sent_and_a_certificate_requires_tls(access: AccessSettings) -> None:
    assert outgoing.options(AccessSettings(), "https://h") == {}
    header = {"Authorization": f"Bearer {KEY}"}
    only_key = AccessSettings(api_key_file=access.api_key_file)
    assert outgoing.options(only_key, "http://h") == {"headers": header}
    with pytest.raises(UserError, match="without encryption.*Received: http://h"):
        outgoing.options(access, "http://h")
    made = outgoing.options(access, "https://h")
    assert made["headers"] == header
    assert isinstance(made["verify"], ssl.SSLContext)
    assert made["verify"].verify_mode == ssl.CERT_REQUIRED
