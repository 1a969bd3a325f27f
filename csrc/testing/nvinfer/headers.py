#!/usr/bin/env python3
"""Makes from TensorRT's headers what the stand-in is compiled with.

    headers.py refusals HEADERS FILE   a header with two things: for every virtual table of
                                       NvInferImpl.h a class in which each function ends the process
                                       with its name, to be overridden by what the stand-in can do, and
                                       the names of all enumerators
    headers.py throwing HEADERS DIR    a copy of the headers without noexcept: with these a stand-in can
                                       throw from every call and its caller can catch it, which the
                                       headers as they are turn into the end of the process
"""
import pathlib
import re
import sys

ENUM_HEADERS = ["NvInferRuntimeBase.h", "NvInferPluginBase.h", "NvInferRuntimePlugin.h", "NvInferRuntime.h", "NvInfer.h"]


def plain(path):
    """The text of a header without comments."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def refusing_classes(text):
    for name, body in re.findall(r"class (V\w+) : public VRoot\s*\{(.*?)\n\};?", text, flags=re.S):
        yield f"class {name} : public nvinfer1::apiv::{name} {{\n public:"
        for function in re.findall(r"virtual\s+([^;]*?)=\s*0\s*;", body, flags=re.S):
            function = re.sub(r"TRT_NODISCARD|TRT_DEPRECATED", "", " ".join(function.split())).strip()
            called = re.search(r"(\w+)\(", function).group(1)
            yield f'  {function} override {{ refuse("{name}::{called}"); }}'
        yield "};\n"


def enumerator_names(directory):
    seen = set()
    for header in ENUM_HEADERS:
        text = plain(directory / header)
        for name, body in re.findall(r"^enum class (\w+) : u?int\w+\s*\{(.*?)\};", text, flags=re.S | re.M):
            if name in seen:
                continue
            seen.add(name)
            yield f"inline const char* enumerator(nvinfer1::{name} value) {{"
            for enumerator in re.findall(r"\bk\w+", re.sub(r"=[^,]*", "", body)):
                yield f'  if (value == nvinfer1::{name}::{enumerator}) return "{enumerator[1:]}";'
            yield '  return "?";\n}'


def refusals(directory, target):
    lines = ["// Made by headers.py.", "#pragma once", '#include "NvInfer.h"', "",
             '#pragma GCC diagnostic push', '#pragma GCC diagnostic ignored "-Wunused-parameter"',
             '#pragma GCC diagnostic ignored "-Wdeprecated-declarations"', "",
             "namespace standin {", "// Ends the process: the stand-in was called for what it cannot do.",
             '[[noreturn]] __attribute__((visibility("default"))) void refuse(const char* function);', "", *enumerator_names(directory), "",
             "namespace refusing {", "using namespace nvinfer1;", ""]
    lines += refusing_classes(plain(directory / "NvInferImpl.h"))
    lines += ["}  // namespace refusing", "}  // namespace standin", "#pragma GCC diagnostic pop", ""]
    target.write_text("\n".join(lines))


def throwing(directory, target):
    target.mkdir(parents=True, exist_ok=True)
    for header in directory.glob("NvInfer*.h"):
        (target / header.name).write_text(re.sub(r"\bnoexcept\b", "", header.read_text()))


if __name__ == "__main__":
    task, source, result = sys.argv[1:]
    {"refusals": refusals, "throwing": throwing}[task](pathlib.Path(source), pathlib.Path(result))
