#!/usr/bin/env python3
"""Compare trtgo's chat templates with transformers on real templates.

    verify_templates.py [--list] RENDERER TEMPLATES…
    verify_templates.py --goldens > tokenizer/testdata/chat/requests.jsonl

RENDERER is the command of scripts/rendertemplates; TEMPLATES are .jinja files, tokenizer_config.json files that hold a template,
and directories that are searched for both. Every template renders every conversation below, through transformers'
apply_chat_template and through trtgo. They agree if both give the same text, or if both refuse. The last line counts; any
difference ends the script with status 1. Needs transformers and jinja2, no torch.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys
import tempfile

import transformers.utils.chat_template_utils as chat_template_utils
from transformers import PreTrainedTokenizerFast

ROOT = pathlib.Path(__file__).resolve().parent.parent
VOCABULARY = ROOT / "tokenizer/testdata/hf_bbpe_llama3/tokenizer.json"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
NOW = datetime.datetime(2026, 7, 4, 9, 5, 3)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def call(name, arguments, id="call00001"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather at a <place> & \"time\"; ünïcode 日本",
    "parameters": {"type": "object", "properties": {
        "place": {"type": "string", "description": "A town"},
        "at": {"type": "number", "default": 1.0, "minimum": -0.5},
        "unit": {"type": "string", "enum": ["c", "f"]},
        "tags": {"type": "array", "items": {"type": "string"}, "nullable": True},
        "deep": {"type": "object", "properties": {"z": {"type": "integer"}, "a": {"type": ["string", "null"]}}, "required": ["z"]}},
        "required": ["place"]},
    "return": {"type": "string"}}}
SEARCH = {"type": "function", "function": {"name": "search", "description": "Find", "parameters": {
    "type": "object", "properties": {"query": {"type": "string", "description": "words"}}, "required": ["query"]}}}
EMPTY_TOOL = {"type": "function", "function": {"name": "ping", "description": "No arguments", "parameters": {"type": "object", "properties": {}}}}
NESTED = {"place": "Ostend", "at": 9.5, "deep": [1, 2.0, {"z": None, "a": True}], "text": "a \"b\" <c> é\n"}
RESULT = {"role": "tool", "tool_call_id": "call00001", "name": "get_weather", "content": "{\"celsius\": 4.1, \"sky\": \"grau\"}"}
CHAT = [user("Hello"), assistant("Hi there."), user("How are you?")]
TOOL_CHAT = [user("Weather?"), assistant("", tool_calls=[call("get_weather", NESTED)]), RESULT]

CONVERSATIONS = [
    ("one question", [user("Who keeps the lighthouse?")], {}),
    ("system", [{"role": "system", "content": "Answer in one word."}, user("Is it?")], {}),
    ("developer", [{"role": "developer", "content": "Be terse."}, user("Is it?")], {}),
    ("turns", CHAT, {}),
    ("turns with system", [{"role": "system", "content": "S\n\ntwo"}, *CHAT, assistant("Well."), user("Good.")], {}),
    ("complete", CHAT + [assistant("Fine.")], {"prompt": False}),
    ("complete with prompt", CHAT + [assistant("Fine.")], {}),
    ("no prompt", CHAT, {"prompt": False}),
    ("assistant first", [assistant("Welcome"), user("Hi")], {}),
    ("two users", [user("a"), user("b")], {}),
    ("two assistants", [user("a"), assistant("b"), assistant("c"), user("d")], {}),
    ("late system", [user("a"), {"role": "system", "content": "now be brief"}, user("b")], {}),
    ("unknown role", [user("a"), {"role": "critic", "content": "bad"}, user("b")], {}),
    ("empty", [{"role": "system", "content": ""}, user("")], {}),
    ("spaces", [{"role": "system", "content": "  s \n"}, user("\n  padded\t\n"), assistant("  yes \n"), user(" \r\n ")], {}),
    ("unicode", [user("Grüße 日本語 🦉 \u2028 e\u0301 ﬁ İ ß \u00a0x\u200b"), assistant("naïve “quotes” 👩‍👩‍👧"), user("ΑΣ")], {}),
    ("markup", [user("<b>&amp;</b> {{ x }} {% if %} <|im_end|> </s> 'q' \"d\" \\n"), assistant("</think> [INST]"), user("a < b > c & d")], {}),
    ("null content", [user("a"), {"role": "assistant", "content": None}, user("b")], {}),
    ("missing content", [user("a"), {"role": "assistant"}, user("b")], {}),
    ("parts", [user([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}])], {}),
    ("parts everywhere", [{"role": "system", "content": [{"type": "text", "text": "S"}]}, user([{"type": "text", "text": "u"}]),
                          assistant([{"type": "text", "text": "a"}]), user("plain")], {}),
    ("image", [user([{"type": "image", "url": "x.png"}, {"type": "text", "text": "What is this?"}])], {}),
    ("image_url", [user([{"type": "text", "text": "This?"}, {"type": "image_url", "image_url": {"url": "x"}}, {"type": "video"}])], {}),
    ("tools", [user("Weather?")], {"tools": [WEATHER, SEARCH]}),
    ("tools and system", [{"role": "system", "content": "Use tools."}, user("Weather?")], {"tools": [WEATHER]}),
    ("empty tool", [user("ping")], {"tools": [EMPTY_TOOL]}),
    ("no tools", [user("ping")], {"tools": []}),
    ("bare tool", [user("x")], {"tools": [WEATHER["function"]]}),
    ("call", TOOL_CHAT, {"tools": [WEATHER]}),
    ("call without tools", TOOL_CHAT, {}),
    ("call and answer", TOOL_CHAT + [assistant("Grey."), user("Thanks")], {"tools": [WEATHER, SEARCH]}),
    ("call, not prompted", TOOL_CHAT[:2], {"tools": [WEATHER], "prompt": False}),
    ("null with call", [user("Weather?"), assistant(None, tool_calls=[call("get_weather", {"place": "Ostend"})]), RESULT], {"tools": [WEATHER]}),
    ("call and text", [user("W?"), assistant("Let me look.", tool_calls=[call("get_weather", {"place": "X"})]), RESULT, assistant("4"), user("k")],
     {"tools": [WEATHER]}),
    ("arguments as text", [user("W?"), assistant("", tool_calls=[call("get_weather", "{\"place\": \"Ostend\", \"at\": 1}")]), RESULT], {"tools": [WEATHER]}),
    ("two calls", [user("W?"), assistant("", tool_calls=[call("get_weather", {"place": "A"}, "aaaaaaaa1"), call("search", {"query": "ü"}, "aaaaaaaa2")]),
                   {"role": "tool", "tool_call_id": "aaaaaaaa1", "name": "get_weather", "content": "1"},
                   {"role": "tool", "tool_call_id": "aaaaaaaa2", "name": "search", "content": "2\n"}, assistant("done"), user("more")], {"tools": [WEATHER, SEARCH]}),
    ("two rounds", TOOL_CHAT + [assistant("", tool_calls=[call("search", {"query": "b"}, "call00002")]),
                               {"role": "tool", "tool_call_id": "call00002", "name": "search", "content": "r"}], {"tools": [WEATHER, SEARCH]}),
    ("no arguments", [user("p"), assistant("", tool_calls=[call("ping", {})]), {"role": "tool", "tool_call_id": "call00001", "name": "ping", "content": "pong"}],
     {"tools": [EMPTY_TOOL]}),
    ("result as object", [user("W?"), assistant("", tool_calls=[call("get_weather", {"place": "X"})]), dict(RESULT, content={"c": 4.1, "b": [1]})], {"tools": [WEATHER]}),
    ("result as parts", [user("W?"), assistant("", tool_calls=[call("get_weather", {"place": "X"})]), dict(RESULT, content=[{"type": "text", "text": "4"}])], {"tools": [WEATHER]}),
    ("bare call", [user("W?"), assistant("", tool_calls=[{"name": "get_weather", "arguments": {"place": "X"}}]), {"role": "tool", "content": "4"}], {"tools": [WEATHER]}),
    ("ipython", [user("W?"), assistant("x = 1"), {"role": "ipython", "content": "1"}, assistant("It is 1.")], {"prompt": False}),
    ("function role", [user("W?"), {"role": "function", "name": "f", "content": "1"}, user("k")], {}),
    ("thought in text", [user("2+2?"), assistant("<think>\nsum\n</think>\n\n4"), user("3+3?"), assistant("<think>again</think>6")], {"prompt": False}),
    ("reasoning_content", [user("2+2?"), assistant("4", reasoning_content="a sum\n"), user("3+3?"), assistant("6", reasoning_content="again")], {"prompt": False}),
    ("reasoning", [user("2+2?"), assistant("4", reasoning="a sum"), user("3+3?")], {}),
    ("thinking", [user("2+2?"), assistant("4", thinking="a sum"), user("3+3?")], {}),
    ("reasoning and call", [user("W?"), assistant("", reasoning_content="look", tool_calls=[call("get_weather", {"place": "X"})]), RESULT], {"tools": [WEATHER]}),
    ("thinking off", CHAT, {"enable_thinking": False}),
    ("thinking on", CHAT, {"enable_thinking": True, "thinking": True, "reasoning_effort": "high", "thinking_budget": 512}),
    ("slash", [{"role": "system", "content": "/no_think be brief"}, user("Hi /think"), assistant("x"), user("y /no_think")], {}),
    ("documents", [user("Who?")], {"documents": [{"title": "T <1>", "text": "Body ü"}, {"title": "U", "text": "B2", "doc_id": 7}]}),
    ("variables", CHAT, {"date_string": "1 May 2025", "custom_tools": None, "tools_in_user_message": False, "builtin_tools": ["brave_search", "code_interpreter"],
                        "model_identity": "I am a test.", "available_tools": [], "keep_past_thinking": True, "add_vision_id": True, "controls": {"a": 1}, "today_date": "x"}),
    ("continue", CHAT + [assistant("The answer is")], {"prompt": False, "continue": "content"}),
    ("continue spaces", [user("q"), assistant(" So far \n")], {"prompt": False, "continue": "content"}),
    ("continue parts", [user("q"), assistant([{"type": "text", "text": "So"}, {"type": "text", "text": "far"}])], {"prompt": False, "continue": "content"}),
    ("continue reasoning", [user("q"), assistant("", reasoning_content="I think")], {"prompt": False, "continue": "reasoning_content"}),
    ("continue and prompt", [user("q"), assistant("a")], {"continue": "content"}),
    ("numbers", [{"role": "user", "content": 12}, assistant(1.5), user("k")], {}),
    ("extra fields", [dict(user("q"), name="Ann", weight=1, prefix=True, tool_calls=[]), assistant("a", tool_calls=None, refusal=None, audio={"id": 1}), user("k")], {}),
    ("long", [m for i in range(12) for m in (user(f"question {i}"), assistant(f"answer {i}"))] + [user("last")], {}),
]


def template_sources(paths):
    """Names and texts of the templates; named ones of one file are several."""
    for path in map(pathlib.Path, paths):
        files = sorted(p for p in path.rglob("*") if p.suffix == ".jinja" or p.name == "tokenizer_config.json") if path.is_dir() else [path]
        for file in files:
            text = file.read_text(encoding="utf-8")
            if file.suffix == ".jinja":
                yield str(file), text
                continue
            template = json.loads(text).get("chat_template")
            for name, source in ([("", template)] if isinstance(template, str) else [(t["name"], t["template"]) for t in template or []]):
                yield f"{file} {name}".strip(), source


def official(tokenizer, messages, options):
    options = dict(options)
    prompt, following = options.pop("prompt", True), options.pop("continue", False)
    try:
        return {"text": tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt, continue_final_message=following, **options)}
    except Exception as e:  # any refusal is a result
        return {"error": f"{type(e).__name__}: {e}"}


def request(folder, messages, options):
    options = dict(options)
    prompt, following = options.pop("prompt", True), options.pop("continue", "")
    return {"dir": str(folder), "now": NOW.isoformat(), "messages": messages, "tools": options.pop("tools", None), "documents": options.pop("documents", None),
            "add_generation_prompt": prompt, "continue_final_message": following, "chat_template_kwargs": options}


def goldens():
    cases = ("tools", "two calls", "reasoning_content", "documents", "variables", "null content", "parts", "extra fields", "continue", "continue spaces",
             "continue parts", "continue reasoning", "continue and prompt", "numbers")
    for name in ("everything.jinja", "chatml.jinja"):
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(VOCABULARY), chat_template=(ROOT / "tokenizer/testdata/chat" / name).read_text(encoding="utf-8"), **TOKENS)
        for case, messages, options in CONVERSATIONS:
            if case in cases:
                row = {k: v for k, v in request("", messages, options).items() if v and k not in ("dir", "now")}
                row = {"template": name, "case": case, "request": row, **official(tokenizer, json.loads(json.dumps(messages)), options)}
                print(json.dumps(row, ensure_ascii=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print both texts of every difference")
    parser.add_argument("--goldens", action="store_true")
    parser.add_argument("renderer", nargs="?")
    parser.add_argument("templates", nargs="*")
    arguments = parser.parse_args()
    chat_template_utils.datetime = Clock
    if arguments.goldens:
        goldens()
        return

    places, wanted, requests = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, source) in enumerate(template_sources(arguments.templates)):
            tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(VOCABULARY), chat_template=source, **TOKENS)
            folder = pathlib.Path(scratch) / str(number)
            folder.mkdir()
            (folder / "tokenizer.json").symlink_to(VOCABULARY)
            (folder / "tokenizer_config.json").write_text(json.dumps(dict(TOKENS, chat_template=source)), encoding="utf-8")
            for case, messages, options in CONVERSATIONS:
                places.append((name, case))
                wanted.append(official(tokenizer, json.loads(json.dumps(messages)), options))
                requests.append(request(folder, messages, options))
        lines = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in requests)
        answers = subprocess.run([arguments.renderer], input=lines, capture_output=True, text=True, encoding="utf-8", check=False)
    if answers.returncode != 0:
        sys.exit(f"{arguments.renderer}: {answers.stderr}")
    got = [json.loads(line) for line in answers.stdout.split("\n") if line]
    assert len(got) == len(wanted), (len(got), len(wanted))

    same = refused = 0
    for (name, case), want, have in zip(places, wanted, got):
        if want == have:
            same += 1
        elif "error" in want and "error" in have:
            refused += 1
        else:
            print(f"{name}: {case}: transformers {next(iter(want))}, trtgo {next(iter(have))}: {want.get('error', '')} {have.get('error', '')}")
            if arguments.list:
                print(f"--- transformers\n{want.get('text')}\n--- trtgo\n{have.get('text')}\n---")
    templates = len({name for name, _ in places})
    print(f"{templates} templates × {len(CONVERSATIONS)} conversations: {len(wanted)} renderings, {same} equal, {refused} refused by both, "
          f"{len(wanted) - same - refused} different")
    sys.exit(0 if wanted and same + refused == len(wanted) else 1)


if __name__ == "__main__":
    main()
