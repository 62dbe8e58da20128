"""Google Cloud Storage on this machine, as far as TensorFlow's own client uses it: `with serving(folder) as variables`.

The client has fixed addresses and a proxy setting, so this is a proxy that answers in their place. It is a separate
process: some of TensorFlow's calls hold the interpreter's lock while they wait for an answer.
"""

import contextlib
import datetime
import http.server
import json
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

HOSTS = ("www.googleapis.com", "storage.googleapis.com")
_OBJECT = "/storage/v1/b/[^/]+/o/([^/]+)"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """Start an empty store; yields the environment variables for a process whose `gs://` URLs it serves.

    Args:
      folder: for the certificate.
    """
    certify(folder)
    with subprocess.Popen([sys.executable, __file__, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield {
                "https_proxy": f"http://127.0.0.1:{int(process.stdout.readline())}",
                "no_proxy": "",
                "CURL_CA_BUNDLE": str(folder / "certificate.pem"),
                "GOOGLE_AUTH_TOKEN_FOR_TESTING": "any",
            }
        finally:
            process.kill()


def certify(folder: Path, hosts: Sequence[str] = HOSTS) -> None:
    """Write a certificate for these names, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0])])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    context: ssl.SSLContext
    objects: dict[str, bytes] = {}
    uploads: list[str] = []

    def do_CONNECT(self) -> None:  # noqa: N802 - the base class's name
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = connection.makefile("rb"), connection.makefile("wb", 0)
        self.close_connection = False
        while not self.close_connection:
            self.handle_one_request()

    def answer(self) -> None:
        code, content, headers = self.result(
            self.body(), urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
        )
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def result(self, body: bytes, path: str, query: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        """Return status, body and headers."""
        if self.headers["Host"] == HOSTS[1]:
            return self.download(unquote(path.split("/", 2)[2]))
        if query.get("uploadType") == "resumable":
            self.uploads.append(query["name"])
            return 200, b"", {"Location": f"https://{HOSTS[0]}/upload/{len(self.uploads) - 1}"}
        if self.command == "PUT" or query.get("uploadType") == "media":
            name = self.uploads[int(path.rpartition("/")[2])] if self.command == "PUT" else query["name"]
            self.objects[name] = body
            return 200, {"generation": "1"}, {}
        if path.endswith("/o"):
            return 200, self.listing(query.get("prefix", ""), "delimiter" in query), {}
        if match := re.fullmatch(f"{_OBJECT}/rewriteTo/b/[^/]+/o/([^/]+)", path):
            source, target = map(unquote, match.groups())
            self.objects[target] = self.objects[source]
            return 200, {"done": True}, {}
        if match := re.fullmatch(_OBJECT, path):
            return self.one(unquote(match[1]))
        return 200, {"location": "US"}, {}  # of the bucket

    def one(self, name: str) -> tuple[int, Any, dict[str, str]]:
        if name not in self.objects:
            return 404, {}, {}
        if self.command == "DELETE":
            del self.objects[name]
            return 204, b"", {}
        facts = {"size": str(len(self.objects[name])), "generation": "1", "updated": "2026-01-01T00:00:00.000Z"}
        return 200, facts, {}

    def download(self, name: str) -> tuple[int, Any, dict[str, str]]:
        if name not in self.objects:
            return 404, b"", {}
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        return (206 if first < len(self.objects[name]) else 416), self.objects[name][first : last + 1], {}

    def listing(self, prefix: str, grouped: bool) -> dict[str, Any]:
        rests = sorted(name.removeprefix(prefix) for name in self.objects if name.startswith(prefix))
        folders = sorted({rest.split("/")[0] + "/" for rest in rests if grouped and "/" in rest})
        items = [{"name": prefix + rest} for rest in rests if not (grouped and "/" in rest)]
        return {"items": items, "prefixes": [prefix + folder for folder in folders]}

    def log_message(self, *_: Any) -> None:
        """Keep the output of the tests clean."""


if __name__ == "__main__":
    Handler.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    Handler.context.load_cert_chain(Path(sys.argv[1], "certificate.pem"), Path(sys.argv[1], "key.pem"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
