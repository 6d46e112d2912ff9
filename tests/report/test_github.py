"""What GitHub Actions is told: workflow commands that nothing in a text can break out of, and a bounded table."""

from __future__ import annotations

from markdown_it import MarkdownIt

from pytest_fluxrun.report.github import RedRun, annotation_lines, step_summary


def _red(number: int = 1, text: str = "regressed: status 200 → 500 at call 1/1\n  next:    x") -> RedRun:
    return RedRun(f"orders-{number}", "regressed", text, "shop/orders.py", 12, f"pytest {number}")


def test_annotation_of_a_run() -> None:
    """The entry's line, a title, and the whole text on one line of the log."""
    (line,) = annotation_lines([_red()], "")

    assert line == (
        "::error file=shop/orders.py,line=12,title=fluxrun%3A orders-1 regressed::"
        "regressed: status 200 → 500 at call 1/1%0A  next:    x"
    )


def test_nothing_breaks_out_of_an_annotation() -> None:
    """Per cent, line ends, colons and commas are escaped where they would mean something."""
    run = RedRun("a,b:c", "leaked", "100%\r\n::add-mask::x", "a,b:c.py", 1, "")

    (line,) = annotation_lines([run], "")

    assert "::error file=a%2Cb%3Ac.py,line=1,title=fluxrun%3A a%2Cb%3Ac leaked::100%25%0D%0A::add-mask::x" == line


def test_annotations_are_ten_at_most() -> None:
    """As many as a step shows: the gate, eight runs, and how many more."""
    lines = list(annotation_lines([_red(number) for number in range(1000)], "no run was replayed"))

    assert 10 == len(lines)
    assert "::error title=fluxrun gate::no run was replayed" == lines[0]
    assert "::error title=fluxrun::992 more runs are not green: see the log" == lines[-1]


def test_step_summary() -> None:
    """A heading, counts, the table; nothing of a text is taken for Markdown, a column or HTML."""
    text = step_summary({"regressed": 1, "match": 4}, [_red(text="regressed: a | <b> `c`")], "too few", ["slowest: x"])

    assert [
        "### FluxRun: not green",
        "",
        "5 runs: 4 match, 1 regressed",
        "",
        "**The gate:** <code>too few</code>",
        "",
        "| run | verdict | what changed | again |",
        "|---|---|---|---|",
        "| <code>orders-1</code> | regressed | <code>a &#124; &#60;b&#62; &#96;c&#96;</code> | <code>pytest 1</code> |",
        "",
        "- <code>slowest: x</code>",
    ] == text.splitlines()


def test_step_summary_is_bounded() -> None:
    """Ten thousand red runs: fifty rows, far below the 1 MiB that GitHub takes."""
    text = step_summary({"regressed": 10_000}, [_red(number, "x" * 5000) for number in range(10_000)], "", [])

    assert "| … and 9950 more | | | |" in text
    assert 50_000 > len(text)


def test_nothing_in_a_summary_is_markdown() -> None:
    """Links, pictures, emphasis, code and HTML in a failure's text, a name, a gate's words, a note: all are shown."""
    evil = (
        "[log in](http://evil.example) ![x](http://e/x.png) **b** `c` ~~d~~ <http://e> <b> https://e www.e.org @ann \\"
    )
    red = RedRun(evil, "regressed", evil, "a.py", 1, evil)

    rendered = MarkdownIt("commonmark").enable("table").render(step_summary({"regressed": 1}, [red], evil, [evil]))

    assert 5 == rendered.count(evil.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    assert [] == [tag for tag in ("<a ", "<img", "<b>", "<em>", "<s>", "<pre>") if tag in rendered]
    assert 1 == rendered.count("<strong>")


def test_nothing_in_an_annotation_steers_a_terminal_and_it_is_bounded() -> None:
    """The log is read in one."""
    (line,) = annotation_lines([_red(text="\x1b[31m\x9b\u202e" + "x" * 9_000)], "")

    assert line.isprintable()
    assert line.endswith("x… (9,007 characters)")
