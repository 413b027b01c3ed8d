"""The page in a real browser. Usage: page.py BASE_URL [FOLDER FOR SCREENSHOTS]

Needs `playwright` (the package; the browser is the system's chromium). Sends, stops, edits, regenerates, reloads, opens a
second tab, looks at tokens and attention, and checks that what a model says is never markup.
"""

import json
import shutil
import sys

from playwright.sync_api import expect, sync_playwright

BASE = sys.argv[1]
SHOTS = sys.argv[2] if len(sys.argv) > 2 else None
CHAT = "**/v1/chat/completions"
problems = []


def tab(context):
    page = context.new_page()
    page.on("console", lambda m: problems.append(f"{m.text} {m.location}") if m.type == "error" else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("dialog", lambda d: (problems.append("dialog: " + d.message), d.dismiss()))
    page.goto(BASE)
    expect(page.locator("#model")).to_contain_text("context")
    return page


def ask(page, text, answers):
    """Types a question, waits until `answers` answers are complete."""
    page.fill("#input", text)
    page.keyboard.press("Enter")
    done(page, answers)


def done(page, answers):
    last = page.locator(".turn.assistant").nth(answers - 1)
    expect(last.get_by_role("button", name="Regenerate")).to_be_visible(timeout=30_000)
    expect(page.locator(".turn.assistant")).to_have_count(answers)
    return last


def says(page, text):
    """Lets the server say `text` next, whatever the model thinks."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    lines = "".join(f"data: {json.dumps({'choices': [c]})}\n\n" for c in (choice, end)) + "data: [DONE]\n\n"
    page.route(CHAT, lambda r: r.fulfill(body=lines, headers={"Content-Type": "text/event-stream"}))


def shot(page, name):
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png")


with sync_playwright() as p:
    browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    context = browser.new_context(viewport={"width": 1000, "height": 860}, color_scheme="light")
    page = tab(context)

    # The keyboard alone: the message field has the focus, Shift+Enter begins a line, Enter sends.
    page.keyboard.type("Jim has 61 pears and Stella has 35 pears.")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("How many pears do they have together?")
    page.keyboard.press("Enter")
    first = done(page, 1)
    answer = first.locator(".body").inner_text()
    assert answer.strip()
    expect(page.locator(".turn.user .body")).to_contain_text("pears.\nHow many", use_inner_text=True)

    # Tokens, alternatives, attention.
    first.get_by_role("button", name="Tokens").click()
    buttons = first.locator(".tokens button")
    assert buttons.count() > 0 and "%" in (buttons.first.get_attribute("aria-label") or "")
    buttons.first.focus()
    page.keyboard.press("Enter")
    expect(first.locator(".map span").first).to_be_visible()
    expect(first.locator(".bars dt").first).to_be_visible()
    first.get_by_label("Head").select_option(index=1)
    assert "Most attention on" in first.locator(".map").get_attribute("aria-label")
    shot(page, "tokens")
    first.get_by_role("button", name="Text").click()

    # Regenerating replaces the answer, editing drops what came after.
    ask(page, "Who are you?", 2)
    page.locator(".turn.assistant").nth(1).get_by_role("button", name="Regenerate").click()
    done(page, 2)
    shot(page, "light")
    page.locator(".turn.user").nth(1).get_by_role("button", name="Edit").click()
    expect(page.locator("#input")).to_have_value("Who are you?")
    expect(page.locator(".turn")).to_have_count(2)
    ask(page, "Who are you really?", 2)

    # A reload keeps the conversation, a second tab has its own, and both are in the history.
    page.reload()
    expect(page.locator(".turn")).to_have_count(4)
    other = tab(context)
    expect(other.locator(".turn")).to_have_count(0)
    ask(other, "Hello", 1)
    expect(page.locator(".turn")).to_have_count(4)
    other.click("#open-history")
    expect(other.locator("#history li")).to_have_count(2)
    other.locator("#history li button").nth(2).click()
    expect(other.locator(".turn")).to_have_count(4)
    other.close()

    # Stopping: a server that never answers.
    page.route(CHAT, lambda r: None)
    page.fill("#input", "Are you there?")
    page.click("#send")
    expect(page.locator("#stop")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".turn.assistant").last).to_contain_text("stopped")
    page.unroute(CHAT)

    # Stopping in the middle keeps what was said, and the next question goes out with it.
    piece = {"choices": [{"index": 0, "delta": {"content": "Once upon"}, "finish_reason": None}]}
    page.evaluate(
        """(piece) => { window.real = fetch; window.fetch = (url, options) => {
            const body = new ReadableStream({ start(stream) {
                stream.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(piece)}\n\n`));
                options.signal.onabort = () => stream.error(options.signal.reason);
            } });
            return Promise.resolve(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
        }; }""",
        piece,
    )
    page.fill("#input", "Tell me a story.")
    page.click("#send")
    expect(page.locator(".turn.assistant .body").last).to_have_text("Once upon")
    page.click("#stop")
    expect(page.locator(".turn.assistant").last).to_contain_text("stopped")
    page.evaluate("() => { window.fetch = window.real; }")
    with page.expect_request(CHAT) as asked:
        page.fill("#input", "Go on.")
        page.keyboard.press("Enter")
    said = [m["content"] for m in asked.value.post_data_json["messages"]]
    assert said[-3:] == ["Tell me a story.", "Once upon", "Go on."], said
    assert "Are you there?" not in said, "a question that was never answered is not sent again"
    expect(page.locator(".turn.assistant").last.get_by_role("button", name="Regenerate")).to_be_visible(timeout=30_000)

    # Settings are sent, commands are not.
    page.fill("#input", "/temperature 0.3")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("temperature is 0.3")
    page.click("#open-settings")
    expect(page.locator("#temperature")).to_have_value("0.3")
    page.get_by_label("Min p").fill("0.05")
    page.get_by_label("Repetition penalty").fill("1.2")
    page.get_by_label("Instructions").fill("Be brief.")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.locator("#panels")).to_be_hidden()
    with page.expect_request(CHAT) as asked:
        page.fill("#input", "Hello")
        page.keyboard.press("Enter")
    sent = asked.value.post_data_json
    assert (sent["temperature"], sent["min_p"], sent["repetition_penalty"]) == (0.3, 0.05, 1.2), sent
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}, sent
    expect(page.locator(".turn.assistant").last.get_by_role("button", name="Regenerate")).to_be_visible(timeout=30_000)

    # What a model says is text, whatever it looks like.
    evil = '<img src=x onerror="alert(1)"><script>alert(2)</script> <b>bold</b> &amp;'
    page.click("#new")
    says(page, evil)
    ask(page, evil, 1)
    for role in ("user", "assistant"):
        expect(page.locator(f".turn.{role} .body")).to_have_text(evil)
    assert page.locator("#talk img, #talk script, #talk b").count() == 0
    page.reload()
    expect(page.locator(".turn.assistant .body")).to_have_text(evil)
    page.unroute(CHAT)

    # An error of the server is shown where the answer would be.
    wrong = {"error": {"message": "all places are taken"}}
    page.route(CHAT, lambda r: r.fulfill(status=429, json=wrong))
    ask(page, "Hello", 2)
    expect(page.get_by_role("alert")).to_have_text("all places are taken")
    problems[:] = [text for text in problems if "429" not in text]

    # A phone in the dark.
    phone = browser.new_context(viewport={"width": 390, "height": 780}, color_scheme="dark", is_mobile=True, has_touch=True)
    small = tab(phone)
    ask(small, "Jim has 61 pears and Stella has 35 pears. How many pears do they have together?", 1)
    width = small.evaluate("() => document.documentElement.scrollWidth")
    assert width <= 390, f"the page is {width} wide on a phone of 390"
    shot(small, "phone")
    small.tap("#open-settings")
    expect(small.locator("#settings-panel")).to_be_visible()
    shot(small, "settings")
    browser.close()

assert not problems, problems
print("the page behaves")
