"""The pages in a real browser, at the width of a desk and of a phone."""

import io
import shutil

import pytest
from PIL import Image

from torch_geometric_dsom.report import answers_page, explanation_page
from torch_geometric_dsom.trainer import explain

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MINUTES = 4 * 60_000  # a machine may be busy


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with api.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=MINUTES)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(report_page, trained, named_graph, gallery):
    answers = trained.predict(named_graph, head="e4", relation="r1", k=5)
    return {
        "report": report_page,
        "explanation": explanation_page(explain(trained, named_graph, 1, 0, 2), gallery),
        "answers": answers_page(answers, named_graph, "r1", head="e4", gallery=gallery),
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_ask_for_nothing_and_complain_about_nothing(browser, pages, width, scheme, tmp_path):
    with browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme) as context:
        context.set_default_timeout(MINUTES)
        for name, content in pages.items():
            file = tmp_path / f"{name}.html"
            file.write_text(content, encoding="utf-8")
            page, asked, said = context.new_page(), [], []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.goto(file.as_uri())
            for summary in page.locator("summary").all():  # with everything open
                summary.evaluate("element => element.parentElement.open = true")
            assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
            assert said == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            outside = "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg')"
            outside += f" && e.getBoundingClientRect().right > {width} + 0.5).map(e => e.outerHTML.slice(0, 80))"
            assert page.evaluate(outside) == []
            broken = "[...document.images].filter(image => !image.naturalWidth).length"
            assert page.evaluate(broken) == 0
            shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("L")
            assert shot.width == width
            corner = shot.getpixel((2, 2))
            assert (corner > 200) == (scheme == "light")
            low, high = shot.getextrema()
            assert high - low > 150  # something is to be seen
            page.close()
