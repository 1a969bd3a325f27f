#!/usr/bin/env python3
"""Compares what engines generated greedily with what transformers did (reference.py).

    compare_outputs.py REFERENCE.json OUTPUT... [--dtype bfloat16]

An OUTPUT is what `trtgo run --json --return_log_probs` printed, or a .csv of upstream's run.py --output_csv, whose rows are prompt and
output. Tokens must be equal until the first step at which the two best logits of transformers in float32 are nearer to each other than
rounding moves them; log-probs, where there are any, until then within the limits below. Fewer than half of the steps compared is a failure too.
Exit status 0: within the limits; 1: not; 2: a file cannot be read.
"""

import argparse
import csv
import json
import math
import sys

MARGIN = {"float32": 0.02, "float16": 0.25, "bfloat16": 0.25}  # of two logits, below which either may win
LARGEST = 3e-4  # difference of log-probs of a float32 engine
SHARE = 1.25  # of the root mean square of transformers' own error in the engine's type, for the others
FLOOR = {"float16": 2e-3, "bfloat16": 1e-2}  # where transformers happens to lose less than that


class Outputs(list):
    """Sequences of one engine: (input ids, output ids, log-probs or None)."""

    def __init__(self, path, reference):
        super().__init__()
        with open(path, encoding="utf-8", newline="") as f:
            if path.endswith(".csv"):
                rows = [[int(v) for v in row] for row in csv.reader(f) if row]
                self.extend(divide(path, rows, reference))
                return
            for number, line in enumerate(f, 1):
                if not line.strip():
                    continue
                o = json.loads(line)
                if o.get("error"):
                    raise ValueError(f"{path}:{number}: the request failed: {o['error']}")
                self.append((o["input_ids"], o["output_ids"], o.get("log_probs")))


def divide(path, rows, reference):
    """Rows of prompt and output; the reference's prompts tell where one ends and the other begins. Padding is the end id."""
    ends = set(reference.get("end_ids", []))
    for row in rows:
        fitting = [s["input_ids"] for s in reference["sequences"] if row[: len(s["input_ids"])] == s["input_ids"]]
        if not fitting:
            raise ValueError(f"{path}: a row begins with none of the reference's prompts: {row[:8]}")
        prompt = max(fitting, key=len)
        output = row[len(prompt) :]
        while output and output[-1] in ends:
            output.pop()
        yield prompt, output, None


def without_end(sequence, ends):
    """Output ids of the reference without the end id, which engines do not give back."""
    ids = sequence["output_ids"]
    return ids[:-1] if ids and ids[-1] in ends else ids


def compare_sequence(sequence, output, dtype, ends):
    """(steps compared, steps there are, differences of log-probs with transformers' own, failure or None)"""
    want, got, log_probs = without_end(sequence, ends), output[1], output[2]
    errors = []
    for step, token in enumerate(want):
        near = sequence["margins"][step] < MARGIN[dtype]
        if step >= len(got) or got[step] != token:
            if near:
                return step, len(want), errors, None
            given = got[step] if step < len(got) else "the end"
            text = f"step {step}: {given}, transformers gives {token} with a margin of {sequence['margins'][step]:.3f}"
            return step, len(want), errors, text
        if log_probs is not None:
            own = sequence.get("own_log_probs")
            errors.append((log_probs[step] - sequence["log_probs"][step], own[step] - sequence["log_probs"][step] if own else 0.0))
    if len(got) > len(want) and len(want) < len(sequence["output_ids"]) and sequence["margins"][len(want)] >= MARGIN[dtype]:
        return len(want), len(want), errors, f"step {len(want)}: {got[len(want)]}, transformers ends with a margin of {sequence['margins'][len(want)]:.3f}"
    return len(want), len(want), errors, None


def rms(values):
    return math.sqrt(sum(v * v for v in values) / len(values)) if values else 0.0


def compare(reference, outputs, dtype):
    """(lines to print, failures) of one engine's outputs."""
    ends = set(reference.get("end_ids", []))
    known = {tuple(s["input_ids"]): s for s in reference["sequences"]}
    lines, failures, compared, steps, errors = [], [], 0, 0, []
    for index, output in enumerate(outputs):
        sequence = known.get(tuple(output[0]))
        if sequence is None:
            failures.append(f"prompt {index} is none of the reference's: {output[0][:8]}")
            continue
        if output[2] is not None and len(output[2]) != len(output[1]):
            failures.append(f"prompt {index} has {len(output[1])} tokens and {len(output[2])} log-probs")
            continue
        n, of, differences, failure = compare_sequence(sequence, output, dtype, ends)
        compared, steps, errors = compared + n, steps + of, errors + differences
        lines.append(f"prompt {index}: {n} of {of} steps equal" + ("" if n == of else "; then the margin is small" if failure is None else ""))
        if failure is not None:
            failures.append(f"prompt {index}, {failure}")
    missing = len(known) - len({tuple(o[0]) for o in outputs if tuple(o[0]) in known})
    if missing:
        failures.append(f"{missing} of the reference's {len(known)} prompts have no output")
    if not failures and compared * 2 < steps:
        failures.append(f"only {compared} of {steps} steps could be compared")
    if errors:
        largest, mean, own = max(abs(e) for e, _ in errors), rms([e for e, _ in errors]), rms([o for _, o in errors])
        lines.append(f"log-probs of {len(errors)} tokens: largest difference {largest:.2e}, rms {mean:.2e}, transformers' own rms in {dtype} {own:.2e}")
        if dtype == "float32":
            if not largest <= LARGEST:
                failures.append(f"a log-prob differs by {largest:.2e}, at most {LARGEST:.0e} is allowed")
        elif not mean <= SHARE * max(own, FLOOR[dtype]):
            failures.append(f"log-probs differ by {mean:.2e} (rms), at most {SHARE} times {max(own, FLOOR[dtype]):.2e} is allowed")
    elif any(o[2] is not None for o in outputs):
        failures.append("no log-prob could be compared")
    return lines, failures


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference")
    parser.add_argument("outputs", nargs="+")
    parser.add_argument("--dtype", default="bfloat16", choices=sorted(MARGIN))
    o = parser.parse_args(arguments)
    failed = False
    try:
        with open(o.reference, encoding="utf-8") as f:
            reference = json.load(f)
        sets = [Outputs(path, reference) for path in o.outputs]
    except (OSError, ValueError, KeyError) as failure:
        print(f"compare_outputs: {failure}", file=sys.stderr)
        return 2
    for path, outputs in zip(o.outputs, sets):
        lines, failures = compare(reference, outputs, o.dtype)
        for line in lines:
            print(f"{path}: {line}")
        for failure in failures:
            print(f"{path}: FAIL: {failure}")
        failed = failed or bool(failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
