"""An echo workflow: no LLM, no network. It answers at once, or word by word when streamed, and fails on demand."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncGenerator

from nat.builder.builder import Builder
from nat.builder.function_info import FunctionInfo
from nat.cli.register_workflow import register_function
from nat.data_models.function import FunctionBaseConfig
from pydantic import Field

logger = logging.getLogger(__name__)


class EchoConfig(FunctionBaseConfig, name="echo"):
    """Echo the input back, prefixed."""

    prefix: str = Field(default="echo:", description="What to say before the input.")
    delay: float = Field(default=0.0, ge=0, description="Seconds to wait before each word.")


def fail(text: str) -> None:
    """Raise an error that has a cause, as real ones do."""
    try:
        raise KeyError(text)
    except KeyError as cause:
        raise ValueError("asked to fail") from cause


def crash(words: list[str]) -> None:
    """End the process, with an exit code or as if it had been killed."""
    if len(words) > 1 and words[1].isdigit():
        os._exit(int(words[1]))
    os.kill(os.getpid(), signal.SIGKILL)


def log_everything() -> None:
    """A line at each level, one record of several lines, one plain line on stdout."""
    logger.debug("a debug line")
    logger.info("an info line")
    logger.warning("a warning line")
    logger.error("an error line\n  that goes on\n  for three lines")
    print("a plain line", flush=False)


async def prepare(text: str) -> str:
    """Do what the text asks for; what is left of it is to be echoed."""
    words = text.split()
    command = words[0] if words else ""
    if command == "fail":
        fail(text)
    elif command == "crash":
        crash(words)
    elif command == "log":
        log_everything()
    elif command == "stuck":
        logger.warning("this request never ends")
        await asyncio.Event().wait()
    elif command == "delay" and len(words) > 1:
        await asyncio.sleep(float(words[1]))
    return text


@register_function(config_type=EchoConfig)
async def echo(config: EchoConfig, builder: Builder):

    async def words(text: str) -> AsyncGenerator[str, None]:
        """Echo the text back word by word."""
        logger.info("echoing %d characters", len(text))
        for word in f"{config.prefix} {await prepare(text)}".split():
            await asyncio.sleep(config.delay)
            yield word + " "

    async def whole(text: str) -> str:
        """Echo the text back."""
        return "".join([word async for word in words(text)]).rstrip()

    yield FunctionInfo.create(single_fn=whole, stream_fn=words, description="Echo the text back.")
    logger.info("echo stopped")
