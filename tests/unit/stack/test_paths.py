"""A path is carried, cut and healed."""

import asyncio
import contextlib

import pytest

from stack import ports
from stack.paths import Relay, Route


async def _echo(reader, writer):
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(1024):
            writer.write(piece)
            await writer.drain()
    writer.close()


@pytest.fixture
async def relay(tmp_path):
    numbers = ports.choose(["listen", "target"], {})
    server = await asyncio.start_server(_echo, "127.0.0.1", numbers["target"])
    relay = Relay([Route("us20", numbers["listen"], numbers["target"])], tmp_path / "cut.json")
    await relay.open()
    yield relay, numbers["listen"], tmp_path
    await relay.close()
    server.close()


async def _says(port, word):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(word)
    return await reader.readexactly(len(word)), reader, writer


async def test_what_is_said_arrives_and_comes_back(relay):
    _relay, port, _place = relay
    heard, _reader, writer = await _says(port, b"hello")
    writer.close()
    assert heard == b"hello"


async def test_a_cut_closes_what_is_open_and_refuses_what_is_new_until_healed(relay):
    found, port, _place = relay
    _heard, reader, writer = await _says(port, b"hello")
    await found.cut("us20")
    async with asyncio.timeout(2):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await found.heal("us20")
    heard, _reader, writer = await _says(port, b"again")
    writer.close()
    assert heard == b"again"


async def test_a_cut_of_open_connections_is_no_failure_that_is_printed(relay):
    found, port, _place = relay
    unheard = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    opened = [await _says(port, b"hello") for _ in range(20)]
    await found.cut("us20")
    await asyncio.sleep(0.1)
    for _heard, _reader, writer in opened:
        writer.close()
    assert unheard == []


async def test_a_cut_survives_a_restart(relay):
    found, _port, place = relay
    await found.cut("us20")
    again = Relay([], place / "cut.json")
    assert again.cuts == {"us20"}
