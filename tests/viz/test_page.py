from __future__ import annotations

import base64
import io
import re
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from refine_motion.viz.animate import Animation
from refine_motion.viz.curves import Curves
from refine_motion.viz.flow import flow_key
from refine_motion.viz.markup import picture_uri
from refine_motion.viz.page import Command, Facts, KeyFigures, Page, Section, Text
from refine_motion.viz.pictures import Compare, ErrorScale, FlowKey, Picture, PictureGrid
from refine_motion.viz.table import Change, Table
from tests.browser import browser, check_markup, check_page, logged_requests, needs_browser

NASTY = "<script>alert('x')</script> & \"https://example.com/\""


def noise(seed: int = 0, height: int = 24, width: int = 40) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=source, dtype=torch.uint8)


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))


def full_page(words: str = "words") -> Page:
    page = Page(f"Title {words}", f"Lead {words}")
    pictures = [Picture(noise(i), words, f"{words} {i}", kind) for i, kind in enumerate(("photo", "colours", "photo"))]
    page.add(KeyFigures({words: "0.47 px"}))
    page.add(Section("Before & after", words, [PictureGrid([pictures], [words], words, [FlowKey(8), ErrorScale(4)])]))
    page.add(Section("Moving", "", [Animation([noise(i) for i in range(3)], 10, words, words)]))
    page.add(Compare({"before": noise(3), f"after {words}": noise(4)}, words))
    page.add(Table([words, *"abcdefgh"], [[words, *[1000.5] * 8]], words, emphasis=[0]))
    page.add(Curves({words: [(0, 1.0), (1, 2.0)]}, words, words, words))
    page.add(Command(f"run {words} " + 30 * "long ", words), Facts({"seed": 0, words: words}))
    return page


class TestPage:
    def test_refers_to_nothing_outside_whatever_the_words(self, tmp_path: Path):
        path = full_page(NASTY).write(tmp_path / "new" / "report.html")
        check_markup(path)
        text = path.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert text.count("<script>") == 1
        assert text.count("<h1>") == 1

    def test_same_blocks_give_the_same_bytes(self, tmp_path: Path):
        first, second = (full_page().write(tmp_path / name).read_bytes() for name in "ab")
        assert first == second

    def test_sections_are_listed_and_have_one_address_each(self):
        page = full_page()
        assert '<a href="#before-after">Before &amp; after</a>' in page.html()
        assert '<h2 id="before-after">' in page.html()
        with pytest.raises(ValueError, match="already has a section 'Before, after'"):
            page.add(Section("Before, after"))

    def test_file_names_that_are_not_text_do_not_stop_it(self, tmp_path: Path):
        path = Page("title", "clip-\udce9.mp4").write(tmp_path / "report.html")
        assert "clip-?.mp4" in path.read_text(encoding="utf-8")

    def test_paragraphs_and_code(self):
        assert Text("one\n\n`a` & b\n").html() == "<p>one</p>\n<p><code>a</code> &amp; b</p>"
        assert Text("").html() == ""

    @pytest.mark.parametrize("block", range(2))
    def test_letters_stand_out_from_the_paper_in_both_schemes(self, block: int):
        css = (files("refine_motion.viz") / "page_style.css").read_text()
        colours = dict(
            re.findall(r"--([\w-]+): (#[0-9a-f]{6});", re.findall(r":root \{(.*?)\}", css, re.DOTALL)[block])
        )
        letters = ["ink", "quiet", "accent", "better", "worse", *(f"series-{i}" for i in range(6))]
        for name in letters:
            for ground in ("paper", "raised"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def contrast(a: str, b: str) -> float:
    """Contrast ratio of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


class TestTable:
    def test_numbers_of_a_column_have_as_many_decimals_and_stand_right(self):
        html = Table(["clip", "error"], [["a", 1.5], ["b", 0.25], ["c", None]], "").html()
        cells = re.findall(r'<td class="number">(.*?)</td>', html)
        assert cells[:2] == ["1.500", "0.250"]
        assert "not known" in cells[2]
        assert '<th scope="row">a</th>' in html

    def test_large_and_negative_numbers(self):
        html = Table(["clip", "steps", "shift"], [["a", 12000, -3.25], ["b", "~5 s", float("nan")]], "").html()
        assert re.findall(r'<td class="number">(.*?)</td>', html)[:2] == ["12\u202f000", "−3.25"]

    def test_words_make_a_column_flush_left(self):
        assert 'class="number"' not in Table(["clip", "verdict"], [["a", 1], ["b", "kept"]], "").html()

    def test_changes_say_the_verdict_in_words(self):
        assert Change(0.052).words() == ("+5.2\u202f%", "worse")
        assert Change(0.052, lower_is_better=False).words()[1] == "better"
        assert Change(-0.0004).words() == ("±0.0\u202f%", "same")
        assert Change(float("nan")).words() == ("–", "unknown")
        assert '<span class="verdict better">better</span>' in Table(["a", "b"], [["x", Change(-0.3)]], "").html()

    def test_refuses_ragged_rows(self):
        with pytest.raises(ValueError, match="1 cells for 2 headings"):
            Table(["a", "b"], [["x"]], "")
        with pytest.raises(ValueError, match=r"no rows \[1\] to emphasise, of 1"):
            Table(["a"], [["x"]], "", emphasis=[1])


class TestPictures:
    def test_colours_are_exact_and_photos_close(self):
        image = flow_key(64)
        exact, close = (decoded(picture_uri(image, kind)) for kind in ("colours", "photo"))
        assert (exact.format, close.format) == ("PNG", "JPEG")
        assert exact.tobytes() == image.permute(1, 2, 0).contiguous().numpy().tobytes()
        assert close.size == (64, 64)

    def test_refuses_what_is_no_picture(self):
        with pytest.raises(ValueError, match=r"\(3, H, W\) uint8, not \(3, 4, 4\) torch.float32"):
            picture_uri(torch.zeros(3, 4, 4), "photo")
        with pytest.raises(ValueError, match="photo or colours, not 'map'"):
            picture_uri(noise(), "map")

    def test_alt_texts_and_sizes_are_said(self):
        html = Picture(noise(), "caption", 'a "horse"').html()
        assert 'alt="a &quot;horse&quot;" width="40" height="24"' in html

    def test_refuses_grids_and_comparisons_that_make_no_sense(self):
        picture = Picture(noise(), "", "")
        with pytest.raises(ValueError, match="pictures in each"):
            PictureGrid([[picture], []])
        with pytest.raises(ValueError, match="2 row titles for 1 rows"):
            PictureGrid([[picture]], ["a", "b"])
        with pytest.raises(ValueError, match="2 to 6 images"):
            Compare({"a": noise()}, "")
        with pytest.raises(ValueError, match="one size"):
            Compare({"a": noise(), "b": noise(0, 20, 20)}, "")

    def test_keys_say_their_numbers_in_pixels(self):
        assert "rim: 7.5&nbsp;px" in FlowKey(7.5).html()
        assert re.findall(r"<span>(.*?)</span>", ErrorScale(5).html()) == ["0", "2.5", "≥&nbsp;5"]


class TestMarkupCheck:
    @pytest.mark.parametrize(
        "part",
        [
            '<img src="http://example.com/a.png" alt="">',
            '<img srcset="//example.com/a.png 2x" alt="">',
            '<a href="https://example.com/">out</a>',
            '<p style="background: url(https://example.com/a.png)"></p>',
            "<style>@import 'https://example.com/a.css';</style>",
            '<img src="picture.png" alt="">',
        ],
    )
    def test_finds_references(self, tmp_path: Path, part: str):
        path = tmp_path / "page.html"
        path.write_text(Page("title", "lead").html().replace("<main>", f"<main>{part}"), encoding="utf-8")
        with pytest.raises(AssertionError, match="refers to"):
            check_markup(path)

    @pytest.mark.parametrize(
        "policy", ["img-src data:", "default-src 'none'; img-src https:", "default-src 'none'; img-src a.b"]
    )
    def test_finds_loose_policies(self, tmp_path: Path, policy: str):
        path = tmp_path / "page.html"
        html = re.sub(r'(Policy" content=)".*?"', rf'\1"{policy}"', Page("title", "lead").html())
        path.write_text(html, encoding="utf-8")
        with pytest.raises(AssertionError, match="policy"):
            check_markup(path)


@needs_browser
class TestInBrowser:
    def test_page_is_whole_and_asks_for_nothing(self, tmp_path: Path):
        facts = check_page(full_page(NASTY).write(tmp_path / "report.html"))
        # Three of the grid, two keys, two of the animation, two to compare.
        assert facts.images == 9
        assert facts.title == f"Title {NASTY}"

    @pytest.mark.parametrize(
        ("part", "complaint"),
        [
            ('<img src="data:image/png;base64,AAAA" alt="broken one">', "broken images"),
            ('<p style="width: 500px">x</p>', "needs"),
            ("<script>undefined_name</script>", "undefined_name|Uncaught"),
            ("<h1>second</h1>", "2 first headings"),
            (f'<img src="{picture_uri(noise(), "photo")}">', "without an alternative"),
        ],
    )
    def test_check_finds_what_is_wrong(self, tmp_path: Path, part: str, complaint: str):
        path = tmp_path / "page.html"
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
        html = Page("title", "lead").html().replace("<main>", f"<main>{part}")
        path.write_text(re.sub(r'(Policy" content=)".*?"', rf'\1"{policy}"', html), encoding="utf-8")
        with pytest.raises(AssertionError, match=complaint):
            check_page(path)

    def test_requests_are_seen(self, tmp_path: Path):
        path, log = tmp_path / "page.html", tmp_path / "log.json"
        path.write_text(
            "<link rel=preconnect href='https://ahead.example'><img src='http://a.example/a.png'>"
            "<script>fetch('https://b.example/')</script>"
        )
        with browser(f"--log-net-log={log}") as tab:
            tab.open(path)
            assert {"http://a.example/a.png", "https://b.example/"} <= set(tab.requests)
        assert {"http://a.example/a.png", "https://b.example/", "https://~notfound"} <= set(logged_requests(log))

    def test_keys_and_clicks(self, tmp_path: Path):
        path = full_page().write(tmp_path / "report.html")
        with browser() as tab:
            tab.open(path)
            tab.evaluate("document.querySelectorAll('button.zoom')[1].focus()")
            tab.evaluate("document.activeElement.click()")
            dialog = "document.querySelector('dialog')"
            assert tab.evaluate(f"{dialog}.open")
            assert tab.evaluate(f"{dialog}.querySelector('img').alt") == "words 1"
            tab.press("ArrowRight")
            assert tab.evaluate(f"{dialog}.textContent") == "words · 3 of 3Close"
            tab.press("Escape")
            assert not tab.evaluate(f"{dialog}.open")
            assert tab.evaluate("document.activeElement.className") == "zoom"

            shown = "[...document.querySelectorAll('.view')].map((v) => getComputedStyle(v).visibility)"
            assert tab.evaluate(shown) == ["visible", "hidden"]
            tab.evaluate("document.querySelector('.compare input').focus()")
            tab.press("ArrowRight")
            assert tab.evaluate(shown) == ["hidden", "visible"]

            tab.evaluate("document.querySelector('button.copy').click()")
            word = tab.evaluate(
                "new Promise((done) => setTimeout(() => done(document.querySelector('.copy').textContent), 200))"
            )
            assert word in ("Copied", "Selected")
            assert not tab.complaints

    def test_motion_follows_what_the_reader_prefers(self, tmp_path: Path):
        path = full_page().write(tmp_path / "report.html")
        moving = "getComputedStyle(document.querySelector('.moving')).display !== 'none'"
        still = "getComputedStyle(document.querySelector('.still')).display !== 'none'"
        with browser() as tab:
            tab.open(path)
            for preference, at_first in (("no-preference", True), ("reduce", False)):
                tab.prefer(prefers_reduced_motion=preference)
                assert (tab.evaluate(moving), tab.evaluate(still)) == (at_first, not at_first)
                tab.evaluate("document.querySelector('.animation input').click()")
                assert (tab.evaluate(moving), tab.evaluate(still)) == (not at_first, at_first)
                tab.evaluate("document.querySelector('.animation input').click()")

    def test_it_is_dark_where_the_system_is(self, tmp_path: Path):
        path = full_page().write(tmp_path / "report.html")
        with browser() as tab:
            tab.open(path)
            grounds = []
            for scheme in ("light", "dark"):
                tab.prefer(prefers_color_scheme=scheme)
                grounds.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert grounds == ["rgb(252, 252, 250)", "rgb(20, 23, 26)"]
