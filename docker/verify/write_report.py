#!/usr/bin/env python3
"""Writes report.md and report.json of what verify.sh ran.

    write_report.py DIRECTORY

DIRECTORY has steps.tsv (number, name, status, exit status, seconds, reason or command) and logs/NUMBER.txt, the output of each
step. Prints the table of steps. Exit status 0: nothing failed; 1: something did.
"""

import json
import os
import re
import sys

TAIL = 60  # lines of output of a step in the report; all of it is in logs
NAMES = re.compile(r"^(PATH|ENV|OPAL_PREFIX|LD_[A-Z_]+|(CUDA|NVIDIA|TRTGO|TRT_LLM|TRT|TLLM|OMPI|PMIX|UCX|NCCL|GLIBC)_[A-Z0-9_a-z]+)$")
SECRET = re.compile(r"TOKEN|SECRET|PASS|KEY|CREDENTIAL|AUTH", re.I)


def environment(variables):
    """The variables that matter to the libraries. Others, and all whose name speaks of a secret, stay where they are."""
    return {name: value for name, value in sorted(variables.items()) if NAMES.match(name) and not SECRET.search(name)}


def hide(text, variables):
    """Text without the values of variables whose name speaks of a secret, should a command have printed them."""
    for name, value in variables.items():
        if SECRET.search(name) and len(value) >= 6:
            text = text.replace(value, f"[value of {name}]")
    return text


def read_steps(directory, variables):
    steps = []
    with open(os.path.join(directory, "steps.tsv"), encoding="utf-8") as f:
        for line in f:
            number, name, status, code, seconds, text = line.rstrip("\n").split("\t", 5)
            step = {"number": int(number), "name": name, "status": status, "seconds": float(seconds)}
            if status == "skipped":
                step["reason"] = text
            else:
                step.update(exit_status=int(code), command=hide(text, variables), output_tail=tail(directory, number, variables))
            steps.append(step)
    return steps


def tail(directory, number, variables):
    """The end of a step's output. The file itself loses secrets too, since it goes into the archive."""
    path = os.path.join(directory, "logs", f"{number}.txt")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as f:
        text = hide(f.read(), variables)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return text.splitlines()[-TAIL:]


def table(steps):
    width = max([len(s["name"]) for s in steps], default=0)
    for s in steps:
        more = s.get("reason", "") if s["status"] == "skipped" else f"exit status {s['exit_status']}" if s["exit_status"] else ""
        yield f"{s['name']:<{width}}  {s['status']:<7}  {s['seconds']:8.1f} s  {more}".rstrip()


def markdown(steps, variables):
    yield "# What docker/verify.sh found\n"
    yield "```"
    yield from table(steps)
    yield "```\n\n## Environment\n\n```"
    yield from (f"{name}={value}" for name, value in environment(variables).items())
    yield "```\n"
    for s in steps:
        if s["status"] == "skipped":
            continue
        yield f"## {s['name']}: {s['status']}, exit status {s['exit_status']}, {s['seconds']:.1f} s\n"
        yield f"```\n$ {s['command']}"
        yield from (line.replace("```", "'''") for line in s["output_tail"])
        yield "```\n"


def main(arguments, variables=os.environ):
    if len(arguments) != 1:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    directory = arguments[0]
    steps = read_steps(directory, variables)
    failed = sum(s["status"] == "failed" for s in steps)
    summary = {"failed": failed, "ok": sum(s["status"] == "ok" for s in steps), "skipped": sum(s["status"] == "skipped" for s in steps)}
    with open(os.path.join(directory, "report.json"), "w", encoding="utf-8") as f:
        json.dump({"summary": summary, "environment": environment(variables), "steps": steps}, f, indent=1)
    with open(os.path.join(directory, "report.md"), "w", encoding="utf-8") as f:
        f.write("\n".join(markdown(steps, variables)) + "\n")
    print("\n".join(table(steps)))
    print(f"{summary['ok']} ok, {failed} failed, {summary['skipped']} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
