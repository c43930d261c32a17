"""Stands in for grpcurl, which no Debian package holds, with the options that the pages use.

    grpcurl [-plaintext] [-unix] [-cacert FILE] [-H 'NAME: VALUE'] [-d JSON] ADDRESS METHOD
    grpcurl ... ADDRESS list [SERVICE] | describe NAME

Like the real one it knows nothing of Pliant: services and messages come from the server's reflection.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, ServiceDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class _WithHeaders(grpc.StreamStreamClientInterceptor):  # type: ignore[misc]
    """Sends the headers with reflection's calls as well, as grpcurl does."""

    def __init__(self, headers: tuple[tuple[str, str], ...]) -> None:
        self._headers = headers

    def intercept_stream_stream(self, continuation, details, requests):  # type: ignore[no-untyped-def]
        return continuation(details._replace(metadata=self._headers), requests)


@click.command(context_settings={"help_option_names": ["-help"]})
@click.option("-plaintext", is_flag=True)
@click.option("-unix", is_flag=True)
@click.option("-cacert", type=Path)
@click.option("-H", "headers", multiple=True)
@click.option("-d", "data", default="")
@click.argument("address")
@click.argument("verb")
@click.argument("symbol", default="")
def main(plaintext: bool, unix: bool, cacert: Path | None, headers: tuple[str, ...], data: str, address: str, verb: str,
         symbol: str) -> None:
    """Call one method, or ask what there is."""
    target = f"unix:{address}" if unix else address
    credentials = None if plaintext else grpc.ssl_channel_credentials(cacert.read_bytes() if cacert else None)
    channel = grpc.insecure_channel(target) if credentials is None else grpc.secure_channel(target, credentials)
    pairs = (header.partition(":") for header in headers)
    metadata = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
    try:
        database = ProtoReflectionDescriptorDatabase(grpc.intercept_channel(channel, _WithHeaders(metadata)))
        pool = DescriptorPool(database)
        if verb == "list":
            lines = sorted(database.get_services()) if not symbol else sorted(
                f"{symbol}.{method.name}" for method in pool.FindServiceByName(symbol).methods)
        elif verb == "describe":
            lines = _described(pool, symbol)
        else:
            lines = _called(channel, pool, verb, data, metadata)
        for line in lines:
            print(line, flush=True)
    except grpc.RpcError as error:
        code = error.code()
        name = "".join(word.capitalize() for word in code.name.split("_"))
        print(f"ERROR:\n  Code: {name}\n  Message: {error.details()}", file=sys.stderr)
        sys.exit(64 + code.value[0])


def _described(pool: DescriptorPool, symbol: str) -> list[str]:
    try:
        message = DescriptorProto()
        pool.FindMessageTypeByName(symbol).CopyToProto(message)
        return [f"{symbol} is a message:", str(message)]
    except KeyError:
        service = ServiceDescriptorProto()
        pool.FindServiceByName(symbol).CopyToProto(service)
        return [f"{symbol} is a service:", str(service)]


def _called(
    channel: grpc.Channel, pool: DescriptorPool, path: str, data: str, metadata: tuple[tuple[str, str], ...]
) -> Iterator[str]:
    service, _, name = path.replace("/", ".").rpartition(".")
    method: MethodDescriptor = pool.FindServiceByName(service).methods_by_name[name]
    request = json_format.Parse(data or "{}", GetMessageClass(method.input_type)(), descriptor_pool=pool)
    answer = GetMessageClass(method.output_type)
    kind = channel.unary_stream if method.server_streaming else channel.unary_unary
    call = kind(f"/{service}/{name}", request_serializer=type(request).SerializeToString,
                response_deserializer=answer.FromString)
    result = call(request, metadata=metadata, timeout=30)
    for message in result if method.server_streaming else (result,):
        yield json_format.MessageToJson(message, descriptor_pool=pool)


if __name__ == "__main__":
    main(prog_name="grpcurl")
