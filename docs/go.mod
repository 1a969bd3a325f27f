// A module of its own, so that the documents are not in the zip that users of the Go module fetch.
module github.com/trtgo/trtgo/docs

go 1.26
