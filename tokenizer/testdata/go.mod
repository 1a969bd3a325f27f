// There is no Go here. This file keeps the directory out of the module that users of the packages download: it is of use to tests alone.
module github.com/trtgo/trtgo/tokenizer/testdata

go 1.26.0
