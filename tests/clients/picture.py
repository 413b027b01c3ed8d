"""The pictures of the page in README.md and in the book. Usage: picture.py BASE_URL FOLDER

Asks a question, opens the answer's tokens and the attention of one of them, and writes `page.png` and `page-dark.png`.
Needs `playwright` (the package; the browser is the system's chromium) and a server of a model that can answer.
"""

import pathlib
import shutil
import sys

from playwright.sync_api import expect, sync_playwright

BASE, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
QUESTION = "Daniel shares 24 stones among 3 friends. How many stones does each friend get?"
MOST_BYTES = 200_000

with sync_playwright() as p:
    browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    for scheme, name in (("light", "page.png"), ("dark", "page-dark.png")):
        context = browser.new_context(viewport={"width": 1000, "height": 860}, color_scheme=scheme)
        page = context.new_page()
        page.goto(BASE)
        expect(page.locator("#model")).to_contain_text("context")
        page.fill("#input", "/temperature 0")
        page.keyboard.press("Enter")
        page.fill("#input", QUESTION)
        page.keyboard.press("Enter")
        answer = page.locator(".turn.assistant")
        expect(answer.get_by_role("button", name="Regenerate")).to_be_visible(timeout=60_000)
        print(f"{scheme}: {answer.locator('.body').inner_text()!r}")
        answer.get_by_role("button", name="Tokens").click()
        # The last number that the model said is the most interesting token.
        numbers = answer.locator(".tokens button").filter(has_text="8")
        (numbers.last if numbers.count() else answer.locator(".tokens button").last).click()
        expect(answer.locator(".map span").first).to_be_visible()
        answer.get_by_label("Layer").select_option(index=2)
        expect(answer.locator(".map span").first).to_be_visible()
        answer.get_by_label("Head").select_option(index=1)
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        file = FOLDER / name
        page.screenshot(path=file)
        size = file.stat().st_size
        assert size < MOST_BYTES, f"{file} has {size} bytes; {MOST_BYTES} are the most"
        print(f"written: {file}, {size} bytes")
        context.close()
    browser.close()
