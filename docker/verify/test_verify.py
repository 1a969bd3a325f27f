"""Tests of what verify.sh runs; needs the standard library alone: python3 -m unittest discover -s docker/verify"""

import contextlib
import copy
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import compare_networks  # noqa: E402
import compare_outputs  # noqa: E402
import reference  # noqa: E402
import write_report  # noqa: E402

NETWORK = {
    "name": "rank0",
    "inputs": [
        {"id": 0, "type": "INT32", "shape": ["num_tokens"], "name": "input_ids"},
        {"id": 1, "type": "INT64", "shape": [16], "name": "host_runtime_perf_knobs", "host": True},
    ],
    "weights": [],
    "layers": [
        {"name": "embedding/Gather", "kind": "Gather", "inputs": [0], "outputs": [{"id": 2, "type": "BF16", "shape": ["num_tokens", 64]}]},
        {
            "name": "layers.0/Gemm",
            "kind": "Plugin",
            "plugin": "Gemm",
            "version": "1",
            "namespace": "tensorrt_llm",
            "fields": [
                {"name": "transa", "type": "INT32", "value": 0},
                {"name": "alpha", "type": "FLOAT32", "value": 0.1},
                {"name": "group", "type": "INT32", "value": [0, 1]},
                {"name": "kind", "type": "CHAR", "value": "one"},
            ],
            "inputs": [2, None],
            "outputs": [{"id": 3, "type": "BF16", "shape": ["num_tokens", 64]}],
        },
    ],
    "outputs": [{"name": "logits", "tensor": 3}],
    "profiles": [{"input_ids": {"min": [1], "opt": [8], "max": [256]}, "host_runtime_perf_knobs": {"min": [16], "opt": [16], "max": [16]}}],
}


class Directory(unittest.TestCase):
    """A test with a directory of its own."""

    def setUp(self):
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.dir = made.name

    def write(self, name, content):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def printed(self, main, *arguments):
        """(exit status, everything that was printed)"""
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            status = main(list(arguments))
        return status, text.getvalue()


class CompareNetworks(Directory):
    def differences(self, change):
        theirs = copy.deepcopy(NETWORK)
        change(theirs)
        return compare_networks.compare([NETWORK], [theirs])

    def test_equal(self):
        def change(n):
            n["inputs"][0]["shape"] = ["?"]  # names of dimensions are ours alone
            for t in n["inputs"] + [t for layer in n["layers"] for t in layer["outputs"]]:
                t["id"] += 100
            for layer in n["layers"]:
                layer["inputs"] = [None if i is None else i + 100 for i in layer["inputs"]]
            n["outputs"][0]["tensor"] += 100
            n["layers"][1]["fields"].reverse()
            n["layers"][1]["fields"][2]["value"] = 0.10000000149011612  # the same 32 bits
            del n["profiles"][0]["host_runtime_perf_knobs"]  # its shape is fixed

        self.assertEqual(([], []), self.differences(change))

    def test_differences(self):
        plugin = "plugin 0 (Gemm, layers.0/Gemm; theirs layers.0/Gemm): "
        for change, want in [
            (lambda n: n["inputs"].pop(0), "input input_ids: only ours has it"),
            (lambda n: n["inputs"].append({"id": 9, "type": "HALF", "shape": [4], "name": "x"}), "input x: only theirs has it, HALF [4]"),
            (lambda n: n["inputs"][0].update(type="INT64"), "input input_ids: ours is INT32 [-1], theirs INT64 [-1]"),
            (lambda n: n["inputs"][0].update(shape=[8]), "input input_ids: ours is INT32 [-1], theirs INT32 [8]"),
            (lambda n: n["profiles"][0]["input_ids"].update(opt=[9]), "profile 0, input_ids, opt: ours is [8], theirs [9]"),
            (lambda n: n["profiles"][0].pop("input_ids"), "profile 0, input_ids: only ours has it"),
            (lambda n: n["profiles"].append(n["profiles"][0]), "profiles: ours has 1, theirs 2"),
            (lambda n: n["outputs"][0].update(name="other"), "output logits: only ours has it"),
            (lambda n: n["layers"][1]["outputs"][0].update(type="FLOAT"), "output logits: ours is BF16 [-1, 64], theirs FLOAT [-1, 64]"),
            (lambda n: n["layers"].append(n["layers"][1]), "plugins: ours has 1, theirs 2"),
            (lambda n: n["layers"][1].update(version="2"), plugin + "version: ours is '1', theirs '2'"),
            (lambda n: n["layers"][1].update(plugin="GPTAttention"), plugin + "plugin: ours is 'Gemm', theirs 'GPTAttention'"),
            (lambda n: n["layers"][1]["fields"][0].update(value=1), plugin + "field transa: ours is 0, theirs 1"),
            (lambda n: n["layers"][1]["fields"][0].update(type="INT8"), plugin + "field transa: ours is of type INT32, theirs INT8"),
            (lambda n: n["layers"][1]["fields"][1].update(value=0.2), plugin + "field alpha: ours is 0.1, theirs 0.2"),
            (lambda n: n["layers"][1]["fields"][2].update(value=[0]), plugin + "field group: ours is [0, 1], theirs [0]"),
            (lambda n: n["layers"][1]["fields"][3].update(value="two"), plugin + "field kind: ours is one, theirs two"),
            (lambda n: n["layers"][1]["fields"].pop(0), plugin + "field transa: only ours has it, 0"),
            (lambda n: n["layers"][1]["fields"].append({"name": "more", "type": "INT32", "value": 3}), plugin + "field more: only theirs has it, 3"),
            (lambda n: n["layers"][1]["inputs"].pop(), plugin + "ours has 2 inputs, theirs 1"),
            (lambda n: n["layers"][1].update(inputs=[0, None]), plugin + "input 0: ours is BF16 of 2 dimensions, theirs INT32 of 1"),
            (lambda n: n["layers"][1].update(inputs=[2, 2]), plugin + "input 1: ours is none of 0 dimensions, theirs BF16 of 2"),
        ]:
            with self.subTest(want):
                self.assertIn("rank 0: " + want, self.differences(change)[0])

    def test_notes_fail_nothing(self):
        def change(n):
            n["layers"][0]["kind"] = "CONSTANT"
            n["inputs"].reverse()

        differences, notes = self.differences(change)
        self.assertEqual([], differences)
        self.assertIn("rank 0: inputs are in another order", notes)
        self.assertIn("rank 0: constant layers: ours has 0, theirs 1", notes)

    def test_files(self):
        one = self.write("one.json", NETWORK)
        two = self.write("two.json", [NETWORK, NETWORK])
        self.assertEqual((0, "compared 1 ranks with 2 inputs and 1 plugins: 0 differences\n"), self.printed(compare_networks.main, one, one))
        status, text = self.printed(compare_networks.main, two, one)
        self.assertEqual(1, status)
        self.assertIn("difference: ours has 2 ranks, theirs 1", text)
        for content, want in [("{", "Expecting"), ("{}", "has no list of inputs")]:
            status, text = self.printed(compare_networks.main, one, self.write("bad.json", content))
            self.assertEqual(2, status)
            self.assertIn(want, text)


class RecordNetwork(Directory):
    def record(self, network, **variables):
        path = self.write("network.json", network)
        out = os.path.join(self.dir, "recorded.json")
        environment = {**os.environ, "PYTHONPATH": os.path.join(HERE, "fakes"), "FAKE_NETWORK": path, **variables}
        command = [sys.executable, os.path.join(HERE, "record_network.py"), out, "--output_dir", os.path.join(self.dir, "engine")]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout, out

    def test_recording_is_the_network(self):
        status, text, out = self.record([NETWORK, NETWORK])
        self.assertEqual(0, status, text)
        recorded = compare_networks.ranks(out)
        differences, notes = compare_networks.compare([NETWORK, NETWORK], recorded)
        self.assertEqual([], differences)
        self.assertEqual(["rank 0: gather layers: ours has 1, theirs 0", "rank 0: other layers: ours has 0, theirs 1"], notes[:2])
        self.assertTrue(os.path.exists(os.path.join(self.dir, "engine", "rank1.engine")))

    def test_failing_build(self):
        status, text, out = self.record(NETWORK, FAKE_BUILD_FAILS="out of memory")
        self.assertNotEqual(0, status)
        self.assertIn("out of memory", text)
        self.assertFalse(os.path.exists(out))

    def test_plugin_of_unknown_making(self):
        """The engine is there all the same, and the status tells that the recording is not."""
        with tempfile.TemporaryDirectory() as dir:
            with open(os.path.join(dir, "sitecustomize.py"), "w", encoding="utf-8") as f:
                f.write("import tensorrt_llm.commands.build as b, tensorrt as t\nb.plugin = lambda layer: t.Plugin()\n")
            status, text, _ = self.record(NETWORK, PYTHONPATH=os.pathsep.join([dir, os.path.join(HERE, "fakes")]))
        self.assertEqual(1, status, text)
        self.assertIn("layer layers.0/Gemm is a plugin whose making was not seen", text)
        self.assertTrue(os.path.exists(os.path.join(self.dir, "engine", "rank0.engine")))


REFERENCE = {
    "end_ids": [2],
    "sequences": [
        {"input_ids": [1, 5], "output_ids": [7, 8, 9, 10], "log_probs": [-0.1, -0.2, -0.3, -0.4], "margins": [3.0, 2.0, 0.1, 1.0], "own_log_probs": [-0.12, -0.2, -0.28, -0.4]},
        {"input_ids": [1, 5, 6], "output_ids": [7, 2], "log_probs": [-0.1, -0.5], "margins": [3.0, 2.0], "own_log_probs": [-0.1, -0.5]},
    ],
}


def outputs(*more):
    """What an engine gives back that agrees with the reference, then changed."""
    return [([1, 5], [7, 8, 9, 10], [-0.1, -0.2, -0.3, -0.4]), ([1, 5, 6], [7], [-0.1]), *more]


class CompareOutputs(Directory):
    def failures(self, given, dtype="bfloat16"):
        return compare_outputs.compare(REFERENCE, given, dtype)[1]

    def test_equal(self):
        self.assertEqual([], self.failures(outputs()))
        self.assertEqual([], self.failures(outputs(), "float32"))

    def test_small_margin_ends_comparison(self):
        given = outputs()
        given[0] = ([1, 5], [7, 8, 30, 31], [-0.1, -0.2, -0.3, -0.4])
        self.assertEqual([], self.failures(given))
        self.assertEqual(["prompt 0, step 2: 30, transformers gives 9 with a margin of 0.100"], self.failures(given, "float32"))

    def test_failures(self):
        def changed(index, ids=None, log_probs=None):
            given = outputs()
            prompt, old_ids, old = given[index]
            given[index] = (prompt, ids if ids is not None else old_ids, log_probs if log_probs is not None else old)
            return given

        for given, want in [
            (changed(0, [7, 30, 9, 10]), "prompt 0, step 1: 30, transformers gives 8 with a margin of 2.000"),
            (changed(0, [7], [-0.1]), "prompt 0, step 1: the end, transformers gives 8 with a margin of 2.000"),
            (changed(1, [7, 9], [-0.1, -0.2]), "prompt 1, step 1: 9, transformers ends with a margin of 2.000"),
            (changed(1, [7], [-0.1, -0.2]), "prompt 1 has 1 tokens and 2 log-probs"),
            (outputs()[:1], "1 of the reference's 2 prompts have no output"),
            (outputs(([4], [7], [-0.1])), "prompt 2 is none of the reference's: [4]"),
            (changed(0, log_probs=[-0.2, -0.3, -0.4, -0.5]), "log-probs differ by 8.94e-02 (rms), at most 1.25 times 1.26e-02 is allowed"),
            (changed(0, log_probs=[float("nan")] * 4), "log-probs differ by nan (rms), at most 1.25 times 1.26e-02 is allowed"),
        ]:
            with self.subTest(want):
                self.assertIn(want, self.failures(given))
        near = changed(0, log_probs=[-0.1, -0.2, -0.3, -0.4005])
        self.assertEqual([], self.failures(near))
        self.assertEqual(["a log-prob differs by 5.00e-04, at most 3e-04 is allowed"], self.failures(near, "float32"))

    def test_too_few_steps(self):
        one = {"end_ids": [], "sequences": [{**REFERENCE["sequences"][0], "margins": [3.0, 0.1, 3.0, 3.0]}]}
        _, failures = compare_outputs.compare(one, [([1, 5], [7, 30], None)], "bfloat16")
        self.assertEqual(["only 1 of 4 steps could be compared"], failures)

    def test_files(self):
        made = self.write("reference.json", REFERENCE)
        lines = [{"input_ids": p, "output_ids": o, "log_probs": log_probs} for p, o, log_probs in outputs()]
        ours = self.write("ours.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        rows = self.write("runpy.csv", "1,5,7,8,9,10,2,2\n1,5,6,7,2,2,2,2\n")
        status, text = self.printed(compare_outputs.main, made, ours, rows)
        self.assertEqual(0, status, text)
        self.assertIn("runpy.csv: prompt 0: 4 of 4 steps equal", text)
        self.assertIn("ours.jsonl: log-probs of 5 tokens: largest difference 0.00e+00", text)
        for name, content, want in [
            ("bad.jsonl", json.dumps({"input_ids": [1, 5], "error": "no room"}), "bad.jsonl:1: the request failed: no room"),
            ("bad.csv", "4,4,4\n", "begins with none of the reference's prompts"),
            ("bad.txt", "text", "Expecting value"),
        ]:
            status, text = self.printed(compare_outputs.main, made, self.write(name, content))
            self.assertEqual(2, status)
            self.assertIn(want, text)
        rows = self.write("runpy.csv", "1,5,7,30,9,10,2,2\n1,5,6,7,2,2,2,2\n")
        status, text = self.printed(compare_outputs.main, made, rows)
        self.assertEqual(1, status)
        self.assertIn("runpy.csv: FAIL: prompt 0, step 1: 30", text)


class Reference(Directory):
    def test_prompts(self):
        path = self.write("p.jsonl", '{"input_ids":[1,2]}\n\n{"input_ids":[3]}\n{"input_ids":[1,2]}\n')
        self.assertEqual([[1, 2], [3]], reference.prompts(path))


class WriteReport(Directory):
    def test_report(self):
        self.write("steps.tsv", "1\tone\tok\t0\t1.5\ttrtgo --token s3cret-value\n2\ttwo\tfailed\t3\t0.1\tfalse\n3\tthree\tskipped\t0\t0\t\"two\" did not go well\n")
        log = self.write("logs/1.txt", "s3cret-value\n```\nlast\n")
        variables = {"HF_TOKEN": "s3cret-value", "CUDA_HOME": "/cuda", "NVIDIA_API_KEY": "other-secret", "EDITOR": "vi", "PATH": "/bin"}
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            status = write_report.main([self.dir], variables)
        self.assertEqual(1, status)
        self.assertIn("1 ok, 1 failed, 1 skipped", text.getvalue())
        self.assertIn('three  skipped       0.0 s  "two" did not go well', text.getvalue())
        with open(os.path.join(self.dir, "report.json"), encoding="utf-8") as f:
            report = json.load(f)
        self.assertEqual({"CUDA_HOME": "/cuda", "PATH": "/bin"}, report["environment"])
        self.assertEqual({"failed": 1, "ok": 1, "skipped": 1}, report["summary"])
        self.assertEqual(3, report["steps"][1]["exit_status"])
        for name in ("report.json", "report.md", "logs/1.txt"):
            with open(os.path.join(self.dir, name), encoding="utf-8") as f:
                content = f.read()
            self.assertNotIn("s3cret", content)
            self.assertNotIn("other-secret", content)
        with open(log, encoding="utf-8") as f:
            self.assertIn("[value of HF_TOKEN]", f.read())

    def test_nothing_failed(self):
        self.write("steps.tsv", "1\tone\tok\t0\t1.5\ttrue\n")
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(0, write_report.main([self.dir], {}))


if __name__ == "__main__":
    unittest.main()
