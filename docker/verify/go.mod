// There is no Go here. This file keeps the directory out of the module that users of the packages download: it is of use in an image alone.
module github.com/trtgo/trtgo/docker/verify

go 1.26.0
