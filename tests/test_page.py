"""The page of a comparison, in a real browser: what it shows is what Python says."""

from __future__ import annotations

import base64
import json
import re
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roottip.evaluation import evaluate
from roottip.page import _cut, _scale, _short, write_page

NASTY = '<script>alert(1)</script> &amp; "o\'neil".png'
TOLERANCE = 8.0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three images, two detectors with many scores, crowds and ignored tips; the page of them."""
    folder = tmp_path_factory.mktemp("page")
    rng = np.random.default_rng(0)
    names = ["a10.png", "a9.png", NASTY.replace("/", "∕")]
    truth, found = [], {"poor": [], "good": []}
    for name in names:
        pixels = rng.integers(0, 255, (200, 300, 3), dtype=np.uint8)
        (folder / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        tips = rng.uniform(5, 195, (14, 2))
        truth += [(name, x, y, int(i > 11)) for i, (x, y) in enumerate(tips)]
        for key, spread in (("good", 3.0), ("poor", 6.0)):
            seen = np.concatenate(
                [
                    tips + rng.normal(0, spread, tips.shape),
                    rng.uniform(0, 199, (9, 2)),
                    tips[:5] + 5,
                ]
            )
            found[key] += [
                (name, x, y, s) for (x, y), s in zip(seen, rng.uniform(0.05, 1, 28), strict=True)
            ]
    truth = pd.DataFrame(truth, columns=["image", "x", "y", "ignore"])
    found = {k: pd.DataFrame(v, columns=["image", "x", "y", "score"]) for k, v in found.items()}
    evaluations = {
        key: evaluate(frame, truth, names, TOLERANCE, 0.5) for key, frame in found.items()
    }
    path = folder / "report.html"
    verdict = ["good finds most.", "good finds 3 more of 100 tips than poor <b>."]
    write_page(
        path,
        verdict,
        evaluations,
        {"By cause": evaluations["good"].by_cause},
        {"data": NASTY},
        folder,
        truth,
    )
    return path, found, truth, names


@pytest.fixture(scope="module")
def browser(made, tmp_path_factory):
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or chromium is None:
        pytest.skip("no chromium with its chromedriver on this machine")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("profile")
    for flag in (
        "headless no-sandbox disable-gpu disable-quic no-first-run disable-component-update "
        "disable-sync disable-background-networking window-size=1200,1600 "
        f"user-data-dir={profile}"
    ).split():
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    window = selenium.Chrome(options, selenium.ChromeService(driver))
    window.get(made[0].as_uri())
    yield window
    window.quit()


def figures(browser) -> list[str]:
    ids = ("precision", "recall", "f1", "hits", "misses", "false-alarms")
    return [browser.find_element("id", name).text for name in ids]


def move(browser, detector: str, threshold: float) -> None:
    browser.execute_script(
        "const [name, value] = arguments;"
        "const choice = document.getElementById('detector');"
        "choice.value = name; choice.dispatchEvent(new Event('change'));"
        "const slider = document.getElementById('threshold');"
        "slider.value = value; slider.dispatchEvent(new Event('input'));",
        detector,
        threshold,
    )


@given(
    st.lists(st.floats(0, 1) | st.integers(0, 1000).map(lambda n: n / 1000), min_size=1),
    st.integers(0, 1000),
    st.floats(0, 1),
)
def test_short_scores_are_on_the_same_side_of_every_threshold(scores, slider, own):
    exact = pd.Series(scores)
    short = _short(exact, own, 4)
    assert np.abs(short - exact).max() <= 1.001e-4
    for threshold in (slider / 1000, own):
        if threshold == own or abs(threshold - own) > 1e-4:
            assert ((short >= threshold) == (exact >= threshold)).all()


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_any_scores_have_a_scale_whose_steps_tell_them_apart(scores, part, own):
    exact = pd.Series(scores)
    low, high, digits = _scale(exact)
    step = 10.0**-digits
    assert low <= exact.min() <= exact.max() <= high
    assert digits == 15 or high - low >= 999 * step
    threshold = round(low + round(part * (high - low) / step) * step, digits)
    short = _short(exact, exact[int(own * (len(exact) - 1))], digits + 1)
    assert ((short >= threshold) == (exact >= threshold)).all()


def test_the_best_detector_is_shown_first(browser, made):
    _, found, truth, names = made
    browser.refresh()
    assert browser.find_element("id", "detector").get_attribute("value") == "good"
    s = evaluate(found["good"], truth, names, TOLERANCE, 0.5).summary
    assert figures(browser)[2:5] == [f"{s['f1']:.3f}", str(s["hits"]), str(s["misses"])]


@pytest.mark.parametrize("detector", ["good", "poor"])
@pytest.mark.parametrize("threshold", [0.05, 0.275, 0.5, 0.733, 1.0])
def test_the_slider_shows_what_python_says(browser, made, detector, threshold):
    _, found, truth, names = made
    move(browser, detector, threshold)
    e = evaluate(found[detector], truth, names, TOLERANCE, threshold)
    s = e.summary
    rates = [f"{s[name]:.3f}".replace("nan", "–") for name in ("precision", "recall", "f1")]
    assert figures(browser) == [*rates, *(str(s[n]) for n in ("hits", "misses", "false_alarms"))]
    image = browser.find_element("id", "image-name").text
    own = e.per_image.set_index("image").loc[image]
    drawn = {
        kind: len(browser.find_elements("css selector", f"#overlay .{kind}"))
        for kind in ("hit", "miss", "false-alarm", "ignored")
    }
    assert (drawn["hit"], drawn["miss"]) == (own["hits"], own["misses"])
    assert sum(drawn.values()) == own["found"] + own["misses"]
    assert browser.find_element("id", "image-counts").text == (
        f"hits {own['hits']}, misses {own['misses']}, false alarms {own['false_alarms']}, "
        f"ignored {own['ignored']}"
    )
    rows = browser.find_elements("css selector", "#images tbody tr")
    hits = {row.find_elements("tag name", "td")[0].text: row.text for row in rows}
    counts = f" {own['hits']} {own['misses']} {own['false_alarms']} {own['ignored']} "
    assert counts in hits[image]


def test_what_the_slider_changes_is_announced_with_its_words(browser):
    words = {name: name for name in ("precision", "recall", "hits", "misses")}
    words |= {"f1": "F1", "false-alarms": "false alarms", "image-counts": "ignored"}
    live = "[aria-live=polite][aria-atomic=true]"
    for name, word in words.items():
        move(browser, "good", 0.1)
        changing = browser.find_element("id", name)
        before = changing.text
        move(browser, "good", 0.9)
        assert changing.text != before
        (around,) = browser.find_elements("css selector", f"{live}:has(#{name})")
        assert word in around.text


def test_ignored_tips_are_drawn_with_the_reach_of_their_pardon(browser, made):
    _, _, truth, _ = made
    image = browser.find_element("id", "image-name").text
    own = truth[(truth["image"] == image) & (truth["ignore"] == 1)]
    rings = browser.find_elements("css selector", "#overlay .unseen")
    drawn = [[float(ring.get_attribute(name)) for name in ("cx", "cy", "r")] for ring in rings]
    places = own[["x", "y"]].round(1).to_numpy() + 0.5
    assert len(own) == 2
    assert np.allclose(sorted(drawn), sorted([x, y, TOLERANCE] for x, y in places))
    assert "not to be seen (never a miss" in browser.find_element("css selector", "#viewer").text


@pytest.fixture
def other_page(browser, made, tmp_path):
    """Open the page of other evaluations, and that of `made` afterwards."""

    def show(evaluations):
        write_page(tmp_path / "report.html", ["many"], evaluations, {}, {})
        browser.get((tmp_path / "report.html").as_uri())
        return browser

    yield show
    browser.get(made[0].as_uri())


def test_each_contender_has_the_slider_and_the_axis_of_its_own_scores(other_page, made):
    _, found, truth, names = made
    points = found["good"]
    scores = {
        "belief": points["score"],
        "logit": 26 * points["score"] - 13,
        "grey": (255 * points["score"]).round(),
        "small": points["score"] / 1e7,
        "offset": 1e4 + points["score"] / 100,
        "alike": points["score"] * 0 + 5,
    }
    tables = {name: points.assign(score=score) for name, score in scores.items()}
    tables["poor"] = found["poor"]
    window = other_page({k: evaluate(f, truth, names, TOLERANCE) for k, f in tables.items()})
    captions = window.find_elements("css selector", "#f1-threshold figcaption")
    of = [text.text.split(" of ")[1].split(", on")[0] for text in captions]
    assert of == ["belief, poor", "logit", "grey", "small", "offset", "alike"]
    slider = window.find_element("id", "threshold")
    for name, frame in tables.items():
        move(window, name, -1e9)
        assert figures(window)[3] == str(evaluate(frame, truth, names, TOLERANCE).summary["hits"])
        low, high = (float(slider.get_attribute(end)) for end in ("min", "max"))
        assert low <= frame["score"].min() + 0.05 * (name in ("belief", "poor"))
        assert high >= frame["score"].max()
        for part in (0.2, 0.5, 0.9):
            move(window, name, low + part * (high - low))
            threshold = float(slider.get_attribute("value"))
            s = evaluate(frame, truth, names, TOLERANCE, threshold).summary
            assert figures(window)[3:] == [str(s[n]) for n in ("hits", "misses", "false_alarms")]
            assert abs(threshold - low - part * (high - low)) <= 0.001 * (high - low)
            plots = window.find_elements("css selector", "#f1-threshold figure")
            moving = [len(plot.find_elements("css selector", ".moving")) for plot in plots]
            assert moving == [name in text.split(", ") for text in of]


def test_a_dozen_contenders_are_told_apart(other_page, made):
    _, found, truth, names = made
    e = evaluate(found["good"], truth, names, TOLERANCE, 0.5)
    window = other_page({f"contender {n}": e for n in range(12)})

    def looks(where: str, *attributes: str) -> list[tuple[str, ...]]:
        drawn = window.find_elements("css selector", where)
        return [tuple(path.get_attribute(name) for name in attributes) for path in drawn]

    spots = looks("#curves-key .spot", "fill", "d")
    lines = looks("#curves-key path:not(.spot)", "stroke", "stroke-dasharray")
    assert len(set(spots)) == len(spots) == len(set(lines)) == len(lines) == 12
    assert looks("#detectors .spot", "fill", "d") == spots


def test_the_table_sorts_and_filters(browser):
    def column(n: int) -> list[str]:
        return [
            cell.text
            for cell in browser.find_elements("css selector", f"#images td:nth-child({n})")
        ]

    heads = browser.find_elements("css selector", "#images thead button")
    move(browser, "good", 0.3)
    heads[0].click()
    assert column(1) == sorted(
        column(1), key=lambda s: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", s)]
    )
    heads[6].click()
    alarms = [int(text) for text in column(7)]
    assert alarms == sorted(alarms)
    heads[6].click()
    assert [int(text) for text in column(7)] == sorted(alarms, reverse=True)
    word = browser.find_element("id", "filter")
    word.send_keys("A9")
    assert column(1) == ["a9.png"]
    assert browser.find_element("id", "rows").text == "1 of 3 images"
    word.send_keys("\b\b")
    assert len(column(1)) == 3


def test_agreement_of_counts_is_bland_and_altmans_of_python(browser, made):
    _, found, truth, names = made
    for detector, threshold in (("good", 0.5), ("poor", 0.7)):
        move(browser, detector, threshold)
        s = evaluate(found[detector], truth, names, TOLERANCE, threshold).summary
        labels = [e.text for e in browser.find_elements("css selector", "#agreement svg text")]
        assert labels[-3:] == [f"{s[f'count_{name}']:.1f}" for name in ("bias", "low", "high")]


def test_causes_have_a_dot_for_each_detector(browser, made):
    _, found, truth, names = made
    dots = []
    for part in ("cause", "nearest tip", "cause of false alarm"):
        tables = [evaluate(f, truth, names, TOLERANCE, 0.5).by_cause for f in found.values()]
        rows = pd.concat([t[(t["by"] == part) & (t["of"] > 0)] for t in tables])
        if len(set(rows["value"])) > 1:
            dots += [f"{n} of {of}" for n, of in zip(rows["count"], rows["of"], strict=True)]
    shown = browser.find_elements("css selector", "#causes .spot title")
    texts = [title.get_attribute("textContent").split(": ")[1] for title in shown]
    assert len(dots) > 8
    assert sorted(texts) == sorted(dots)


def test_next_and_a_click_on_a_row_show_other_images(browser):
    seen = set()
    for _ in range(3):
        browser.find_element("id", "next").click()
        seen.add(browser.find_element("id", "image-name").text)
    assert len(seen) == 3
    row = browser.find_elements("css selector", "#images tbody tr")[1]
    browser.execute_script("arguments[0].click()", row)
    assert (
        row.find_elements("tag name", "td")[0].text == browser.find_element("id", "image-name").text
    )


def test_names_are_text_nothing_is_fetched_and_nothing_goes_wrong(browser, made):
    page = made[0].read_text()
    assert "<script>alert" not in page
    assert made[3][2] in [cell.text for cell in browser.find_elements("css selector", "#images td")]
    assert "tips than poor <b>." in browser.find_element("tag name", "body").text
    assert not re.search(r"(src|href)\s*=\s*\"(?!data:)", page)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [
        event["params"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
        and event["params"]["documentURL"].startswith("file:")  # not the browser's own first tab
    ]
    assert requests
    addresses = {(r["request"]["url"], r["documentURL"]) for r in requests}
    assert all(url == page or url.startswith("data:") for url, page in addresses)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_prints(browser):
    printed = browser.execute_cdp_cmd("Page.printToPDF", {})["data"]
    pdf = base64.b64decode(printed)
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 20_000


def test_without_images_tips_or_finds(tmp_path):
    truth = pd.DataFrame({"image": [], "x": [], "y": [], "ignore": []})
    e = evaluate(truth[["image", "x", "y"]].assign(score=[]), truth, ["a.png"], TOLERANCE, 0.5)
    write_page(tmp_path / "report.html", ["nothing"], {"none": e}, {}, {})
    page = (tmp_path / "report.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    assert data["detectors"][0]["precision"] is None
    assert [image["name"] for image in data["images"]] == ["a.png"]
    assert "never a miss" not in page  # no tip is ignored: no sign of one is explained


def test_the_tips_drawn_as_hit_are_the_hits_of_the_table(made):
    path, found, truth, names = made
    data = json.loads(re.search(r'id="data">(.*?)</script>', path.read_text())[1])
    for key, frame in found.items():
        e = evaluate(frame, truth, names, TOLERANCE, 0.5)
        hit = e.matches[e.matches["outcome"] == "hit"]
        for image in data["images"]:
            own = hit[hit["image"] == image["name"]]
            drawn = [
                xy
                for xy, at in zip(image["truth"], image["hitAt"][key], strict=True)
                if at is not None and at >= 0.5
            ]
            assert sorted(drawn) == sorted(own[["truth_x", "truth_y"]].round(1).to_numpy().tolist())


def test_finds_are_drawn_as_what_the_table_says_they_are(made):
    path, found, truth, names = made
    data = json.loads(re.search(r'id="data">(.*?)</script>', path.read_text())[1])
    for key, frame in found.items():
        matches = evaluate(frame, truth, names, TOLERANCE, 0.5).matches.dropna(subset=["x"])
        for image in data["images"]:
            own = matches[matches["image"] == image["name"]]
            places = zip(own["x"].round(1), own["y"].round(1), strict=True)
            said = dict(zip(places, own["outcome"], strict=True))
            drawn = {
                tuple(place): outcome
                for place, outcome in zip(image["places"][key], image["outcomes"][key], strict=True)
                if outcome is not None
            }
            assert drawn == said


@pytest.mark.parametrize("shape", [(200, 300), (200, 300, 3)])
@pytest.mark.parametrize(("x", "y"), [(150, 100), (0, 0), (299, 199), (-500, 50)])
def test_a_crop_has_its_point_in_the_middle_and_grey_beyond_the_border(shape, x, y):
    image = np.full(shape, 30, np.uint8)
    if 0 <= x < 300:
        image[y, x] = 250
    cut = _cut(image, x, y)
    assert cut.shape == (192, 192, *shape[2:])
    assert (cut[96:98, 96:98] == (250 if 0 <= x < 300 else 128)).all()
    # off the ticks, a quarter of the way to a corner
    for down, right in ((60, 60), (60, 130), (130, 60), (130, 130)):
        there = (x + (right - 96) // 2, y + (down - 96) // 2)
        inside = 0 <= there[0] < 300 and 0 <= there[1] < 200
        assert (cut[down, right] == (30 if inside else 128)).all()
