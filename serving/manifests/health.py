"""When a server is ready: as soon as at least one version of its model can be used."""


def route(model: str) -> str:
    """Return the route that answers 200 only then.

    The status route also answers 200 while versions are loading, and if none could be loaded.
    """
    return f"/v1/models/{model}/metadata"


def bash(port: int, model: str) -> str:
    """Return a command that succeeds only then, for bash alone: the image has neither curl nor wget."""
    request = rf"GET {route(model)} HTTP/1.0\r\n\r\n"
    asked = f"exec 3<>/dev/tcp/127.0.0.1/{port} && printf '{request}' >&3"
    return f'{asked} && read -r _ code _ <&3 && [ "$code" = 200 ]'
