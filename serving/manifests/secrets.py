"""Templates of the Secrets that the configuration names, with placeholders that Kubernetes refuses: no base64."""

from pipeline.config.pods import PodSettings
from pipeline.config.run import Config

_PLACEHOLDER = "<base64 of the value>"
_REGISTRY_KEY = ".dockerconfigjson"
_TEXT = """\
# Fill in, save as a file that is not under version control, and: kubectl -n {namespace} apply -f FILE
# This prints the base64 of a value: printf %s VALUE | base64 -w0
apiVersion: v1
kind: Secret
metadata:
  name: {name}
type: {kind}
data:
{data}"""


def templates(config: Config) -> dict[str, str]:
    """Return a text for each Secret, by file name; kustomize and `kubectl apply` read none of these files."""
    keys = {name: {_REGISTRY_KEY} for name in config.cluster.image_pull_secrets}
    pods = config.cluster.pods
    for component in type(pods).model_fields:
        settings: PodSettings = getattr(pods, component)
        for variable in settings.secret_variables or ():
            keys.setdefault(variable.secret, set()).add(variable.key)
    return {f"secret-{name}.yaml.template": _template(config, name, keys[name]) for name in sorted(keys)}


def _template(config: Config, name: str, keys: set[str]) -> str:
    kind = "kubernetes.io/dockerconfigjson" if keys == {_REGISTRY_KEY} else "Opaque"
    data = "".join(f"  {key}: {_PLACEHOLDER}\n" for key in sorted(keys))
    return _TEXT.format(namespace=config.cluster.namespace, name=name, kind=kind, data=data)
