"""The status page in a real browser, against a real ATT with a real app."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.browser import Browser, Page, find_browser
from tests.e2e.whole import Att, att_up
from tests.support import eventually

CHROMIUM = find_browser()
pytestmark = [
    pytest.mark.service,
    pytest.mark.timeout(120),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH"),
]
TEXTS = "[...document.querySelectorAll('.l .t')].map((n) => n.textContent)"


@pytest.fixture(scope="module")
def att(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Att]:
    with att_up(tmp_path_factory.mktemp("page") / "home") as running:
        running.make_app("counter")
        running.make("empty", "")
        yield running


@pytest.fixture
def browse(att: Att, tmp_path: Path) -> Callable[[Callable[[Page], Awaitable[None]]], None]:
    """Runs a test's coroutine with a page that is signed in and shows the app that runs."""

    def run(script: Callable[[Page], Awaitable[None]]) -> None:
        async def whole() -> None:
            assert CHROMIUM is not None
            async with Browser(CHROMIUM, tmp_path / "profile") as browser:
                page = await browser.page()
                await page.size(1280, 800)
                await page.open(f"{att.url}/#counter")
                await sign_in(page, att.token)
                await page.until("document.getElementById('state').textContent === 'running'")
                await script(page)

        att.ensure_running("counter")
        asyncio.run(whole())

    return run


async def sign_in(page: Page, token: str) -> None:
    await page.until("!document.getElementById('door').hidden")
    await page.evaluate(f"document.getElementById('token').value = {json.dumps(token)}")
    await page.evaluate("document.getElementById('sign-in').requestSubmit()")


async def text(page: Page, id_: str) -> str:
    return str(await page.evaluate(f"document.getElementById('{id_}').textContent"))


async def click(page: Page, id_: str) -> None:
    await page.until(f"!document.getElementById('{id_}').disabled")
    await page.evaluate(f"document.getElementById('{id_}').click()")


def set_filter(words: str) -> str:
    return (
        f"document.getElementById('grep').value = {json.dumps(words)};"
        "document.getElementById('grep').dispatchEvent(new Event('input'))"
    )


def test_a_wrong_token_is_refused_with_a_sentence(att: Att, tmp_path: Path) -> None:
    async def whole() -> None:
        assert CHROMIUM is not None
        async with Browser(CHROMIUM, tmp_path / "profile") as browser:
            page = await browser.page()
            await page.open(att.url)
            await sign_in(page, "att_this-is-not-the-token")
            assert await page.until("document.getElementById('token-error').textContent")
            assert await page.evaluate("document.getElementById('app').hidden")

    asyncio.run(whole())


def test_the_page_shows_the_state_the_figures_and_the_live_log(
    att: Att, browse: Callable[[Callable[[Page], Awaitable[None]]], None]
) -> None:
    async def script(page: Page) -> None:
        await page.until("document.getElementById('health').textContent === 'healthy'")
        pid = att.ask("GET", "/projects/counter/runtime/status")["pid"]
        await page.until(f"document.getElementById('pid').textContent === '{pid}'")
        await page.until("/[0-9] MiB$/.test(document.getElementById('rss').textContent)")
        shown = await page.until("document.querySelectorAll('.l').length")
        await page.until(f"document.querySelectorAll('.l').length > {shown} + 20")
        assert await page.evaluate(
            "(({scrollTop, clientHeight, scrollHeight}) => scrollHeight - scrollTop - clientHeight < 30)"
            "(document.getElementById('lines'))"
        ), "it stays at the newest line"
        refused = [said for said in page.errors if "401" not in said]
        assert not refused, "neither an error in the script nor one of the content security policy"

    browse(script)


def test_what_the_app_prints_is_shown_as_text_with_its_colours(
    browse: Callable[[Callable[[Page], Awaitable[None]]], None],
) -> None:
    async def script(page: Page) -> None:
        await page.evaluate(set_filter("onerror"))
        await page.until(f"{TEXTS}.some((t) => t.includes('<img src=x onerror'))")
        assert await page.evaluate("document.querySelectorAll('#lines img').length") == 0
        assert "broken" not in await page.evaluate("document.title")
        red = "[...document.querySelectorAll('.l .t span')].find((n) => n.textContent === 'red')?.style.color"
        assert await page.evaluate(red)
        await page.until("document.querySelector('.l mark')?.textContent === 'onerror'")

    browse(script)


def test_the_filter_takes_text_and_expressions_and_says_what_is_wrong_with_one(
    browse: Callable[[Callable[[Page], Awaitable[None]]], None],
) -> None:
    async def script(page: Page) -> None:
        await page.evaluate(set_filter("LINE 1"))
        await page.until(f"((t) => t.length > 0 && t.every((l) => l.includes('line 1')))({TEXTS})")
        await click(page, "regex")
        await page.evaluate(set_filter("line [0-9]*7$"))
        await page.until(f"((t) => t.length > 0 && t.every((l) => l.endsWith('7')))({TEXTS})")
        await page.evaluate(set_filter("("))
        assert await page.until("document.getElementById('grep-error').textContent")
        await page.evaluate(set_filter(""))
        await page.until(f"document.getElementById('grep-error').hidden && {TEXTS}.length > 0")

    browse(script)


def test_a_record_of_several_lines_stands_together_under_its_level(
    browse: Callable[[Callable[[Page], Awaitable[None]]], None],
) -> None:
    async def script(page: Page) -> None:
        await page.evaluate(
            "document.getElementById('level').value = 'error';"
            "document.getElementById('level').dispatchEvent(new Event('change'))"
        )
        seen = (
            "[...document.querySelectorAll('.l.lv-error')].slice(-3).map((n) => n.classList.contains('cont'))"
        )
        await page.until(f"JSON.stringify({seen}) === '[false,true,true]'")

    browse(script)


def test_scrolling_up_pauses_and_the_button_leads_back(
    browse: Callable[[Callable[[Page], Awaitable[None]]], None],
) -> None:
    async def script(page: Page) -> None:
        await page.until("document.querySelectorAll('.l').length > 80")
        await page.evaluate("document.getElementById('lines').scrollTop -= 700")
        await page.until("/new lines/.test(document.getElementById('newest').textContent)")
        before = await page.evaluate("document.getElementById('lines').scrollTop")
        await page.until("parseInt(document.getElementById('newest').textContent) > 40")
        assert await page.evaluate("document.getElementById('lines').scrollTop") == before
        await click(page, "newest")
        await page.until("document.getElementById('newest').hidden")

    browse(script)


def test_a_daemon_that_is_killed_costs_the_page_no_line_and_doubles_none(
    att: Att, browse: Callable[[Callable[[Page], Awaitable[None]]], None]
) -> None:
    async def script(page: Page) -> None:
        await page.until("document.querySelectorAll('.l').length > 30")
        before = att.ask("GET", "/projects/counter/runtime/status")["run_id"]
        life = att.ask("GET", "/health")["boot_id"]
        await asyncio.to_thread(att.kill_daemon)
        await page.until("document.getElementById('link').textContent === 'reconnecting'")
        await page.until("document.getElementById('link').textContent === 'live'", 30)
        await eventually(lambda: another_life(att, life), 30, 0.1)
        status = att.ask("GET", "/projects/counter/runtime/status")
        assert status["run_id"] == before, "the app goes on while the daemon is replaced"
        seen = await page.evaluate(f"{TEXTS}.length")
        await page.until(f"{TEXTS}.length > {seen} + 30", 30)
        await click(page, "follow")  # hold the picture still
        shown = [line for line in await page.evaluate(TEXTS) if re.search(r"run \d+ line \d+$", line)]
        kept = [
            line["text"] for line in att.ask("GET", "/projects/counter/runtime/logs?limit=10000")["lines"]
        ]
        kept = [line for line in kept if re.search(r"run \d+ line \d+$", line)]
        numbers = [re.findall(r"\d+", line)[-2:] for line in shown]
        expected = [re.findall(r"\d+", line)[-2:] for line in kept]
        begin = expected.index(numbers[0])
        assert numbers == expected[begin : begin + len(numbers)]
        assert len({tuple(pair) for pair in numbers}) == len(numbers)

    browse(script)


REFUSED = """
window.real ??= window.fetch;
window.fetch = async () => new Response(JSON.stringify({title: "The daemon is not running", detail: "it is wrong about the port",
  hint: "mend it", code: "daemon_not_running", status: 503}), {status: 503});
"""
SAFE = """
window.fetch = async (where, ...more) => {
  const answer = await window.real(where, ...more);
  return where.includes("/health") ? new Response(JSON.stringify({...await answer.json(), safe_mode: true})) : answer;
};
"""


def test_the_page_says_when_att_is_in_safe_mode_or_cannot_start_and_why(
    browse: Callable[[Callable[[Page], Awaitable[None]]], None],
) -> None:
    def shown(words: str) -> str:
        banner = "document.getElementById('banner')"
        return f"{banner}.checkVisibility() && {banner}.textContent.includes({words!r})"

    async def script(page: Page) -> None:
        assert await page.evaluate("document.getElementById('banner').hidden")
        await page.evaluate(REFUSED)
        await page.until(shown("it is wrong about the port"), 20)
        await page.evaluate(SAFE)
        await page.until(shown("Safe mode"), 20)
        await page.evaluate(REFUSED)
        await page.until(shown("it is wrong about the port"), 20)
        await page.evaluate("window.fetch = window.real")
        await page.until("document.getElementById('banner').hidden", 20)

    browse(script)


def another_life(att: Att, before: str) -> bool:
    try:
        return bool(att.ask("GET", "/health")["boot_id"] != before)
    except (OSError, AssertionError):
        return False


def test_stop_asks_first_and_start_brings_it_back(
    att: Att, browse: Callable[[Callable[[Page], Awaitable[None]]], None]
) -> None:
    async def script(page: Page) -> None:
        await click(page, "stop")
        await page.until("document.getElementById('ask').open")
        await click(page, "ask-no")
        assert att.ask("GET", "/projects/counter/runtime/status")["state"] == "running"
        at_once = "for (const id of ['stop', 'ask-no', 'stop']) document.getElementById(id).click()"
        await page.evaluate(at_once)  # the second question is not answered by the end of the first
        await click(page, "ask-yes")
        await page.until("document.getElementById('state').textContent === 'stopped'")
        await click(page, "start")
        await page.until("document.getElementById('health').textContent === 'healthy'")
        await click(page, "tab-events")
        await page.until("document.querySelector('.ev .n')?.textContent.startsWith('runtime.')")

    browse(script)


def test_a_refused_start_tells_the_cause_and_what_to_do(
    att: Att, browse: Callable[[Callable[[Page], Awaitable[None]]], None]
) -> None:
    async def script(page: Page) -> None:
        await page.evaluate("location.hash = '#empty'")
        await page.until("document.getElementById('name').textContent === 'empty'")
        await click(page, "start")
        await page.until("document.getElementById('ask').open")
        await click(page, "ask-yes")  # the app that runs would be stopped
        await page.until("!document.getElementById('problem').hidden")
        assert "no_config" in await text(page, "problem-hint")
        assert att.ask("GET", "/projects/counter/runtime/status")["state"] == "running", "nothing has changed"

    browse(script)


def test_a_phone_gets_all_of_it_without_scrolling_sideways(
    browse: Callable[[Callable[[Page], Awaitable[None]]], None],
) -> None:
    async def script(page: Page) -> None:
        await page.size(360, 740, phone=True, scale=2)
        await page.until("document.querySelectorAll('.l').length > 5")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        small = await page.evaluate(
            "[...document.querySelectorAll('button, select, input, .side a')].filter((n) => n.checkVisibility()"
            " && n.id !== 'regex' && n.getBoundingClientRect().height < 44).map((n) => n.id || n.textContent)"
        )
        assert small == []

    browse(script)
