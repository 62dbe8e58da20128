"""Reading of the files that flags name, by protobuf's own parser of the text format."""

from typing import Any

from google.protobuf import descriptor_pb2, message_factory, text_format

from components.errors import UserError
from pipeline.config.serving import BatchingSettings
from serving.tf_serving.flags import METRICS_PATH

_Field = descriptor_pb2.FieldDescriptorProto
_BATCHING = {"max_batch_size": "max_rows", "max_enqueued_batches": "max_waiting", "num_batch_threads": "threads"}
_REPEATED = "allowed_batch_sizes"  # not used, but protobuf cannot skip a list in brackets
# No published package contains these messages of TF Serving (session_bundle_config.proto, monitoring_config.proto).
# The text has no field numbers.
_MESSAGES: dict[str, dict[str, Any]] = {
    "Int64Value": {"value": _Field.TYPE_INT64},
    "BatchingParameters": {**dict.fromkeys(_BATCHING, "Int64Value"), _REPEATED: _Field.TYPE_INT64},
    "PrometheusConfig": {"enable": _Field.TYPE_BOOL, "path": _Field.TYPE_STRING},
    "MonitoringConfig": {"prometheus_config": "PrometheusConfig"},
}


def batching(text: str, where: str) -> BatchingSettings:
    """Return the settings of a `BatchingParameters`; its other fields do not apply to the embedded server.

    Args:
      where: the file, for messages.

    Raises:
      UserError: the text is another one, or a number is below 1.
    """
    parsed = _parse("BatchingParameters", text, where, "max_batch_size { value: 64 }")
    values = {name: getattr(parsed, field).value for field, name in _BATCHING.items() if parsed.HasField(field)}
    if any(value < 1 for value in values.values()):
        raise UserError(f"Batch sizes and numbers of threads must be at least 1. Received: {values} in {where}")
    return BatchingSettings.model_validate(values)


def metrics_path(text: str, where: str) -> str | None:
    """Return the path of the metrics in a `MonitoringConfig`; None if they are disabled.

    Raises:
      UserError: the text is another one.
    """
    config = _parse("MonitoringConfig", text, where, "prometheus_config { enable: true }").prometheus_config
    return (config.path or METRICS_PATH) if config.enable else None


def _parse(kind: str, text: str, where: str, example: str) -> Any:
    message = _classes()[kind]()
    try:
        text_format.Parse(text, message, allow_unknown_field=kind == "BatchingParameters")
    except text_format.ParseError as error:
        raise UserError(
            f"The file is not a {kind} of TF Serving, such as `{example}`: {str(error).rstrip('.')}. Received: {where}"
        ) from error
    return message


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="text_protos.proto", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            label = _Field.LABEL_REPEATED if field == _REPEATED else _Field.LABEL_OPTIONAL
            one = message.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                one.type, one.type_name = _Field.TYPE_MESSAGE, f".{kind}"
            else:
                one.type = kind
    return dict(message_factory.GetMessages([file]))
