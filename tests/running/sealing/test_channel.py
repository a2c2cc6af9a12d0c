"""Messages between the scorer and the worker: exact, and nothing in them is executed."""

import json
import os
import pickle
import struct
import threading
from collections.abc import Iterator

import pytest
import torch

from metabench.running.sealing.channel import Channel, ChannelClosed, MalformedMessage

DTYPES = ("bfloat16", "bool", "float16", "float32", "float64", "int64", "uint8")


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """Both ends of a channel."""
    (a, b), (c, d) = os.pipe(), os.pipe()
    channels = Channel(a, d), Channel(c, b)
    yield channels
    for channel in channels:
        channel.close()


@pytest.fixture
def raw() -> Iterator[tuple[Channel, int]]:
    """A channel, and the descriptor to write to it."""
    (a, b), (c, d) = os.pipe(), os.pipe()
    channel = Channel(a, d)
    yield channel, b
    channel.close()
    os.close(c)


def test_values_and_tensors_arrive_to_the_bit(ends) -> None:
    here, there = ends
    tensors = [(torch.randn(3, 2, 1) * 9).to(getattr(torch, name)) for name in DTYPES]
    tensors += [torch.empty(0, 5), torch.tensor(1.5), torch.rand(4, 4).T, torch.tensor([-0.0])]
    here.send("kind", {"a": [1, 2.5, None, "é"]}, *tensors)
    message = there.receive()
    assert (message.kind, message.values) == ("kind", {"a": [1, 2.5, None, "é"]})
    for sent, received in zip(tensors, message.tensors, strict=True):
        assert (sent.dtype, sent.shape) == (received.dtype, received.shape)
        assert torch.equal(sent, received)
    assert torch.signbit(message.tensors[-1]).all()


def test_a_message_larger_than_the_pipe_arrives(ends) -> None:
    here, there = ends
    tensor = torch.rand(3, 1 << 20)
    sender = threading.Thread(target=here.send, args=("big", {}, tensor))
    sender.start()
    assert torch.equal(there.receive().tensors[0], tensor)
    sender.join()


def test_not_finite_values_arrive(ends) -> None:
    here, there = ends
    here.send("x", {"nan": float("nan"), "inf": float("inf")})
    assert str(there.receive().values) == "{'nan': nan, 'inf': inf}"


def test_a_closed_end_is_an_error_that_no_metric_catches(ends) -> None:
    here, there = ends
    there.close()
    with pytest.raises(ChannelClosed):
        here.receive()
    with pytest.raises(ChannelClosed):
        here.send("x", {})
    assert not issubclass(ChannelClosed, Exception)


def framed(header: bytes) -> bytes:
    return struct.pack("=Q", len(header)) + header


@pytest.mark.parametrize(
    "data",
    [
        framed(b"not json"),
        framed(json.dumps(["kind", {}]).encode()),
        framed(json.dumps([1, {}, []]).encode()),
        framed(json.dumps(["kind", [], []]).encode()),
        framed(json.dumps(["kind", {}, [["complex64", [1]]]]).encode()),
        framed(json.dumps(["kind", {}, [["float32", [-1]]]]).encode()),
        framed(json.dumps(["kind", {}, [["float32", "x"]]]).encode()),
        framed(json.dumps(["kind", {}, [["float32", [1 << 60]]]]).encode()),
        struct.pack("=Q", 1 << 62),
        framed(pickle.dumps({"a": 1})),
    ],
)
def test_another_form_is_malformed(raw, data: bytes) -> None:
    channel, write = raw
    os.write(write, data)
    os.close(write)
    with pytest.raises(MalformedMessage):
        channel.receive()


def test_an_end_in_the_middle_of_a_message_is_closed(raw) -> None:
    channel, write = raw
    os.write(write, framed(json.dumps(["kind", {}, [["float32", [4]]]]).encode()) + b"\0" * 7)
    os.close(write)
    with pytest.raises(ChannelClosed):
        channel.receive()
