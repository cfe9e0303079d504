#!/usr/bin/env python3
"""/debug/stray/ of the program `leaks`: every leak is on it, nothing comes from outside, the tags close, who is alive is explained,
and who is blocked longest though alive has a place apart."""
import html.parser
import re

import marks
from program import Program, check, get, has, run, same, until

VOID = {"meta", "input", "rect", "path", "polyline", "br"}


class Checker(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.words, self.links, self.ids = [], [], [], set()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        check(tag != "script" and not any(a.startswith("on") for a in attrs), f"a script: <{tag} {attrs}>")
        check("src" not in attrs and tag != "link", f"from outside: <{tag} {attrs}>")
        self.links += [attrs["href"]] if "href" in attrs else []
        self.ids.add(attrs.get("id"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        check(self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}")
        self.open.pop()

    def handle_data(self, data):
        self.words.append(data)


def read(port, target):
    answer = get(port, target)
    same(answer.status, 200, target)
    same(answer.headers["Content-Type"], "text/html; charset=utf-8", "type")
    has(answer.headers["Content-Security-Policy"], "default-src 'none'", "policy")
    page = Checker()
    page.feed(answer.text)
    page.close()
    same(page.open, [], "tags that were not closed")
    return page, "".join(page.words)


def test():
    waits = marks.all_waits()
    with Program("leaks", STRAY_PPROF="127.0.0.1:0") as leaks:
        port = leaks.port()
        leaks.line("^ready$")
        page, text = read(port, "/debug/stray/")
        has(text, rf"{marks.total(marks.leaked(waits))} leaked goroutines in ", "the verdict")
        for wait in marks.leaked(waits):
            has(text, rf"{wait.count} × {re.escape(wait.reason)} {re.escape(wait.function)}{wait.tier}", "a leak")
            has(text, rf"{marks.SOURCE.name}:{wait.line}\b", "its line")
            has(text, rf"^ +{wait.line}  .*// waits: {wait.count} {re.escape(wait.function)} ", "its source line")
        for link in page.links:
            if link.startswith("#"):
                check(link[1:] in page.ids, f"{link} leads nowhere")
            else:
                path = {"..": "/debug", "": ""}.get(link.split("/")[0], "/debug/stray/" + link.split("/")[0])
                target = path + link[len(link.split("/")[0]):] if link.startswith(("..", "/")) else "/debug/stray/" + link
                same(get(port, target.split("#")[0]).status, 200, link)
        def longest():
            return read(port, "/debug/stray/")[1].split("Blocked longest")[1].split("Goroutines that are alive")[0]

        until(lambda: "shop::receive_in_use" in longest(), "who has waited for a second though alive stands on a list of its own")
        check("shop::receive_order" not in longest(), "a leaked one is among the longest waits")
        alive = [link for link in page.links if link.startswith("?why=")]
        check(alive, "nobody alive can be asked for")
        healthy = next(w for w in waits if w.tier == "healthy")
        answers = [read(port, "/debug/stray/" + link.split("#")[0])[1] for link in alive]
        check(any("in_use" in a for a in answers), f"nobody says why {healthy.function} is alive")
        same(leaks.end(), 0, "status")


run(test)
