// No Go is here: a module of its own is left out of the zip by which trtgo is installed, which has a limit.
module github.com/trtgo/trtgo/csrc/testing/tensorrt_llm

go 1.26
