"""A google provider that knows only schemas: enough for ``terraform validate``, ``test`` and ``plan``.

Terraform starts it (``terraform.py`` lays it out). It speaks plugin protocol 6 in hand-written protobuf: few
messages are needed, and Terraform ships no Python stubs. A plan takes the configuration as it is; what Google
would compute is made up where policies look at it (``_made_up``), and null elsewhere. It cannot apply.
Source: https://github.com/hashicorp/terraform/blob/v1.11.4/docs/plugin-protocol/tfplugin6.8.proto
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import sys
import threading
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
import msgpack
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA: Final = Path(__file__).parent / "google_schema.json"
PROJECT_NUMBER: Final = "123456789012"
_NESTING: Final = {"single": 1, "list": 2, "set": 3, "map": 4}
_BYTES, _VARINT = 2, 0
_ERROR: Final = 1
Value = dict[str, Any]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, content: bytes | str | int) -> bytes:
    """Return one protobuf field; numbers and flags that are 0 are left out, as proto3 does."""
    if isinstance(content, int):
        return _varint(number << 3 | _VARINT) + _varint(content) if content else b""
    content = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _fields(message: bytes) -> dict[int, bytes]:
    """Return a message's length-delimited fields by number, the last of each; others are passed over."""
    found = {}
    at = 0

    def varint() -> int:
        nonlocal at
        number = shift = 0
        while True:
            byte = message[at]
            at += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    while at < len(message):
        key = varint()
        length = varint()
        if key & 7 == _BYTES:
            found[key >> 3] = message[at : at + length]
            at += length
    return found


def _schema(block: Value) -> bytes:
    return _field(2, _block(block))


def _block(block: Value) -> bytes:
    out = b""
    for name, attribute in block["attributes"].items():
        flags = (
            _field(4, attribute["required"])
            + _field(5, attribute["optional"])
            + _field(6, attribute["computed"])
        )
        out += _field(2, _field(1, name) + _field(2, json.dumps(attribute["type"])) + flags)
    for name, nested in block["block_types"].items():
        limits = _field(4, nested.get("min_items", 0)) + _field(5, nested.get("max_items", 0))
        kind = _field(3, _NESTING[nested["nesting_mode"]])
        out += _field(3, _field(1, name) + _field(2, _block(nested["block"])) + kind + limits)
    return out


def _dynamic(value: Value | None) -> bytes:
    return _field(1, msgpack.packb(value))


def _value(dynamic: bytes) -> Value | None:
    value: Value | None = msgpack.unpackb(_fields(dynamic)[1], strict_map_key=False)
    return value


def _made_up(kind: str, value: Value) -> None:
    """Fill in what Google would compute and policies look at, in the form that Google gives it."""
    project = value.get("project")
    name = value.get("name") or value.get("account_id") or value.get("repository_id")
    if kind == "google_project":
        value["number"] = PROJECT_NUMBER
    elif kind == "google_service_account":
        value["email"] = f"{name}@{project}.iam.gserviceaccount.com"
        value["member"] = f"serviceAccount:{value['email']}"
        value["name"] = value["id"] = f"projects/{project}/serviceAccounts/{value['email']}"
    elif kind == "google_cloudfunctions2_function":
        value["service_config"][0]["uri"] = f"https://{name}-{PROJECT_NUMBER}.{value['location']}.run.app"
    elif kind == "google_pubsub_topic":
        value["id"] = f"projects/{project}/topics/{name}"
    elif kind == "google_monitoring_uptime_check_config":
        value["uptime_check_id"] = "made-up-check"
    for attribute in ("id", "name"):
        if value.get(attribute) is None and attribute in value:
            value[attribute] = f"made-up/{kind}/{name or value.get('display_name')}"


class Provider:
    """The provider's methods, each from a request's bytes to an answer's."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._schemas = json.loads(SCHEMA.read_text("utf-8"))
        self.methods: dict[str, Callable[[bytes], bytes]] = {
            "GetProviderSchema": lambda _: self._provider_schema(),
            "PlanResourceChange": self._plan,
            "ReadDataSource": self._read_data,
            "ReadResource": lambda request: _field(1, _fields(request)[2]),
            "UpgradeResourceState": self._upgrade,
            "ApplyResourceChange": lambda _: _field(
                3, _field(1, _ERROR) + _field(2, "this provider knows schemas only: it cannot apply")
            ),
            "StopProvider": lambda _: self._stop(),
        }

    def _provider_schema(self) -> bytes:
        out = _field(1, _schema(self._schemas["provider"]))
        for number, kind in ((2, "resources"), (3, "data")):
            for name, block in self._schemas[kind].items():
                out += _field(number, _field(1, name) + _field(2, _schema(block)))
        return out

    def _plan(self, request: bytes) -> bytes:
        fields = _fields(request)
        planned = _value(fields[3])
        if planned is not None:
            _made_up(fields[1].decode(), planned)
        # 5: the old type system, whose providers may fill in what the configuration leaves out.
        return _field(1, _dynamic(planned)) + _field(5, 1)

    def _read_data(self, request: bytes) -> bytes:
        fields = _fields(request)
        value = _value(fields[2])
        if value is not None:
            _made_up(fields[1].decode(), value)
        return _field(1, _dynamic(value))

    def _upgrade(self, request: bytes) -> bytes:
        return _field(1, _field(2, _fields(_fields(request)[3]).get(1, b"null")))

    def _stop(self) -> bytes:
        self.stopped.set()
        return b""


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def service(self, call: Any) -> Any:
        service, method = call.method[1:].split("/")
        if service == "tfplugin6.Provider" and method != "GetMetadata":
            answer = self._provider.methods.get(method, lambda _: b"")
            return grpc.unary_unary_rpc_method_handler(lambda request, _: answer(request))
        if service == "plugin.GRPCController":
            return grpc.unary_unary_rpc_method_handler(lambda *_: self._provider.methods["StopProvider"](b""))
        if service == "plugin.GRPCStdio":
            return grpc.unary_stream_rpc_method_handler(lambda *_: _nothing())
        return None


def _nothing() -> Iterator[bytes]:
    return iter(())


def _certificate() -> tuple[bytes, bytes, bytes]:
    """Return key, certificate, and its DER, good for a day: go-plugin speaks TLS to itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, made.public_bytes(pem), made.public_bytes(der)


def main() -> None:
    """Serve until Terraform says stop."""
    if "TF_PLUGIN_MAGIC_COOKIE" not in os.environ:
        sys.exit("This is a Terraform provider: Terraform starts it.")
    provider = Provider()
    key, certificate, der = _certificate()
    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((_Handlers(provider),))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    server.start()
    told = base64.b64encode(der).decode().rstrip("=")
    print(f"1|6|tcp|127.0.0.1:{port}|grpc|{told}", flush=True)  # noqa: T201 - go-plugin's handshake
    provider.stopped.wait()
    server.stop(0.2)


if __name__ == "__main__":
    main()
