"""The workflow as NAT builds it from the config, without a server."""

import asyncio
from pathlib import Path

import pytest
from echo_app.register import EchoConfig, echo

CONFIG = Path(__file__).parents[1] / "config.yml"


def ask(text, **config):
    """The answer of the echo function to `text`."""

    async def run():
        async with echo(EchoConfig(**config), None) as info:
            return await info.single_fn(text)

    return asyncio.run(run())


def stream(text):
    async def run():
        async with echo(EchoConfig(), None) as info:
            return [word async for word in info.stream_fn(text)]

    return asyncio.run(run())


def test_it_says_what_it_was_told():
    assert ask("hello there") == "echo: hello there"


def test_the_prefix_can_be_set():
    assert ask("hello", prefix="you said") == "you said hello"


def test_it_streams_word_by_word():
    assert stream("one two") == ["echo: ", "one ", "two "]


def test_an_error_keeps_its_cause():
    with pytest.raises(ValueError, match="asked to fail") as error:
        ask("fail")
    assert isinstance(error.value.__cause__, KeyError)


def test_the_config_is_one_that_nat_accepts():
    from nat.runtime.loader import load_config

    config = load_config(CONFIG)
    assert config.workflow.prefix == "echo:"
