"""Missing models, versions, labels and signatures, and the order of the checks."""

from typing import Any

from tests.serving.contract.case import CONTRACT, Case, error, get, predict

_MANAGER = "core/manager.h GetUntypedServableHandle, core/basic_manager.cc"
_STATUS = "model_servers/get_model_status_impl.cc"
_LABEL = "model_servers/server_core.cc GetModelVersionForLabel"
_SIGNATURE = "model_servers/http_rest_api_handler.cc GetInfoMap"
_ORDER = "util/json_tensor.cc FillPredictRequestFromJson (order of checks)"
_CLASSIFY = "util/json_tensor.cc FillClassifyRegressRequestFromJson"

NOWHERE = "/v1/models/nowhere"
X = {"instances": [1.0]}
_MISSING = "Missing 'inputs' or 'instances' key"


def _at(id: str, source: str, target: str, status: int, *parts: str, body: Any = X) -> Case:
    return predict(id, source, body, error(status, *parts), target=f"{target}:predict")


def _classify(id: str, verb: str, target: str, body: Any, status: int, *parts: str) -> Case:
    return predict(id, _CLASSIFY, body, error(status, *parts), target=f"{target}:{verb}")


LATEST = "Servable not found for request: Latest(nowhere)"
UNKNOWN_LABEL = "Unrecognized servable version label: nobody"

CASES = [
    _at("no-model", _MANAGER, NOWHERE, 404, LATEST),
    _at("no-model-version", _MANAGER, f"{NOWHERE}/versions/1", 404, "Servable not found", "Specific(nowhere, 1)"),
    _at("no-version", _MANAGER, f"{CONTRACT}/versions/50", 404, "Servable not found", "Specific(contract, 50)"),
    _at("no-version-0", _MANAGER, f"{CONTRACT}/versions/0", 404, "Specific(contract, 0)"),
    _at("no-version-largest", _MANAGER, f"{CONTRACT}/versions/9223372036854775807", 404, "Servable not found"),
    _at("no-version-policy", _MANAGER, "/v1/models/latest%21%23/versions/1", 404, "Specific(latest!#, 1)"),
    _at("no-model-other-case", _MANAGER, "/v1/models/Contract", 404, "Latest(Contract)"),
    _at("no-model-space", _MANAGER, "/v1/models/contract%20", 404, "Latest(contract )"),
    _at("no-model-unicode", _MANAGER, "/v1/models/m%C3%A9", 404, "Latest(mé)"),
    _at("no-label", _LABEL, f"{CONTRACT}/labels/nobody", 400, UNKNOWN_LABEL),
    _at("no-label-other-case", _LABEL, f"{CONTRACT}/labels/Stable", 400, "version label: Stable"),
    _at("no-label-no-model", _LABEL, f"{NOWHERE}/labels/nobody", 400, UNKNOWN_LABEL),
    _at("no-label-on-model-without", _LABEL, "/v1/models/latest%21%23/labels/stable", 400, "version label: stable"),
    _at("no-signature", _SIGNATURE, CONTRACT, 400, 'Serving signature name: "nothing" not found in signature def',
        body={"signature_name": "nothing", **X}),
    _at("no-signature-other-case", _SIGNATURE, CONTRACT, 400, '"Serving_Default" not found in signature def',
        body={"signature_name": "Serving_Default", **X}),
    _at("no-inputs", _ORDER, CONTRACT, 400, "Failed to get input map for signature: no_inputs",
        body={"signature_name": "no_inputs", "inputs": {}}),
    get("status-no-model", _STATUS, NOWHERE, error(404, "Could not find any versions of model nowhere")),
    get("status-no-version", _STATUS, f"{CONTRACT}/versions/50",
        error(404, "Could not find version 50 of model contract")),
    get("status-no-model-version", _STATUS, f"{NOWHERE}/versions/1",
        error(404, "Could not find version 1 of model nowhere")),
    get("status-no-version-policy", _STATUS, "/v1/models/latest%21%23/versions/1",
        error(404, "Could not find version 1 of model latest!#")),
    get("status-label-no-model", _STATUS, f"{NOWHERE}/labels/stable",
        error(404, "Could not find any versions of model nowhere")),
    get("metadata-no-model", _MANAGER, f"{NOWHERE}/metadata", error(404, LATEST)),
    get("metadata-no-version", _MANAGER, f"{CONTRACT}/versions/50/metadata", error(404, "Specific(contract, 50)")),
    get("metadata-no-label", _LABEL, f"{CONTRACT}/labels/nobody/metadata", error(400, UNKNOWN_LABEL)),
    _at("order-url-before-json", _ORDER, f"{CONTRACT}/versions/x", 400, "Malformed request", body=b"{"),
    _at("order-empty-before-model", _ORDER, NOWHERE, 400, "The document is empty", body=b""),
    _at("order-json-before-model", _ORDER, NOWHERE, 400, "JSON Parse error", body=b"{"),
    _at("order-json-before-label", _ORDER, f"{CONTRACT}/labels/nobody", 400, "JSON Parse error", body=b"{"),
    _at("order-object-before-model", _ORDER, NOWHERE, 400, "Is not object", body=b"[]"),
    _at("order-signature-type-before-model", _ORDER, NOWHERE, 400, "'signature_name' key must be a string value.",
        body={"signature_name": 1, **X}),
    _at("order-model-before-signature", _ORDER, NOWHERE, 404, LATEST, body={"signature_name": "nothing", **X}),
    _at("order-model-before-keys", _ORDER, NOWHERE, 404, LATEST, body={}),
    _at("order-model-before-tensors", _ORDER, NOWHERE, 404, LATEST, body={"instances": "wrong"}),
    _at("order-version-before-tensors", _ORDER, f"{CONTRACT}/versions/50", 404, "Specific(contract, 50)", body={}),
    _at("order-label-before-tensors", _ORDER, f"{CONTRACT}/labels/nobody", 400, UNKNOWN_LABEL,
        body={"instances": ["wrong"]}),
    _at("order-label-before-signature", _ORDER, f"{CONTRACT}/labels/nobody", 400, UNKNOWN_LABEL,
        body={"signature_name": "nothing", **X}),
    _at("order-signature-before-keys", _ORDER, CONTRACT, 400, '"nothing" not found in signature def',
        body={"signature_name": "nothing"}),
    _at("order-signature-before-both", _ORDER, CONTRACT, 400, '"nothing" not found in signature def',
        body={"signature_name": "nothing", "inputs": [1.0], **X}),
    _at("order-no-inputs-before-keys", _ORDER, CONTRACT, 400, "Failed to get input map",
        body={"signature_name": "no_inputs"}),
    _at("order-both-before-tensors", _ORDER, CONTRACT, 400, "expecting only", body={"inputs": "a", "instances": "b"}),
    _at("order-keys-before-run", _ORDER, CONTRACT, 400, _MISSING, body={"signature_name": "positive"}),
    # No model of the suite has signatures for these routes, so all responses are errors: of the examples, then of the
    # model, then of the signature.
    _classify("classify-bad-json", "classify", CONTRACT, b"{", 400, "JSON Parse error"),
    _classify("classify-no-examples", "classify", CONTRACT, {}, 400, "'examples'"),
    _classify("classify-not-a-list", "classify", CONTRACT, {"examples": {}}, 400, "'examples'", "list/array"),
    _classify("classify-empty", "classify", CONTRACT, {"examples": []}, 400, "'examples'", "empty array"),
    _classify("regress-bad-json", "regress", CONTRACT, b"{", 400, "JSON Parse error"),
    _classify("regress-no-examples", "regress", CONTRACT, {}, 400, "'examples'"),
    _classify("classify-no-model", "classify", NOWHERE, {"examples": [{"x": 1.0}]}, 404, LATEST),
    _classify("regress-no-model", "regress", NOWHERE, {"examples": [{"x": 1.0}]}, 404, LATEST),
    _classify("classify-context", "classify", NOWHERE, {"context": [], "examples": []}, 400,
              "Example must be JSON object but got JSON Array"),
    *(_classify(f"{verb}-{id}", verb, NOWHERE, {"examples": [{"x": 1.0}, example]}, 400, part)
      for verb in ("classify", "regress") for id, example, part in (
          ("example-is-number", 1, "Example must be JSON object but got JSON Number"),
          ("example-is-null", None, "Example must be JSON object but got JSON Null"),
          ("feature-is-null", {"x": None}, "Feature: x has element with unexpected JSON type: Null"),
          ("feature-is-object", {"x": [{}]}, "Feature: x has element with unexpected JSON type: Object"),
          ("feature-is-nested", {"x": [[1]]}, "Feature: x has element with unexpected JSON type: Array"),
          ("feature-mixed", {"x": [1, 1.0]}, "Unexpected element type in feature: x expecting type: int64"),
          ("feature-b64", {"x": {"b64": "*"}}, "Unable to base64 decode"),
          ("feature-too-large", {"x": 2**63}, "Feature: x has uint64 element. Only int64 is supported."))),
    *(_classify(f"{verb}-signature-{signature}", verb, CONTRACT,
                {"signature_name": signature, "examples": [{"x": [1.0, 2.0], "y": True}]}, 400, part)
      for verb, signature, part in (
          ("classify", "nothing", "No signature was found with the name: nothing"),
          ("regress", "nothing", "No signature was found with the name: nothing"),
          ("classify", "two_inputs", "Expected one input Tensor."),
          ("regress", "two_inputs", "Expected one input Tensor."),
          ("regress", "two_outputs", "Expected one output Tensor."),
          ("classify", "serving_default", "No classification inputs found in SignatureDef: "),
          ("regress", "serving_default", "No regression inputs found in SignatureDef: "))),
]  # fmt: skip
