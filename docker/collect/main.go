// Command collect copies libraries, and all libraries that these need, out of a tree of files into another one, at the same
// paths. It reads ELF files and loads none, so the tree may be of an image whose programs do not run here.
//
//	go run ./docker/collect [flags] --target DIR [FILE...]
//
// What to copy is told by FILEs (programs or libraries), by --list, or both. A line of the list is a kind, a path or pattern
// inside the tree, and after # the reason why it is there:
//
//	need PATTERN    these files, with all that they need; nothing that matches is an error
//	open PATTERN    the same, when there are any: what libraries open by name, which no ELF file tells
//	file PATTERN    these files alone, when there are any
//	tree DIRECTORY  all files below it, with all that the libraries among them need; where there is no such directory, nothing
//	driver NAME     is never copied: the driver of the machine that runs the image has it
//	base NAME       is never copied: the image that the files are put on has it
//
// NAME may be a pattern. Links are copied as links, with what they lead to. A library that is missing is an error that names who needs it;
// where only files of open and tree entries need it, it is told and no error.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	flags := flag.NewFlagSet("collect", flag.ExitOnError)
	var o options
	flags.StringVar(&o.root, "root", "/", "the tree that is copied from")
	flags.StringVar(&o.target, "target", "", "the directory that is copied to (required)")
	flags.StringVar(&o.list, "list", "", "file that lists what to copy")
	flags.StringVar(&o.libraryPath, "library-path", os.Getenv("LD_LIBRARY_PATH"), "directories inside the tree that are searched as LD_LIBRARY_PATH is")
	flags.StringVar(&o.loaderConfig, "loader-config", "", "file of the target that gets the directories of all libraries, for ldconfig, e.g. /etc/ld.so.conf.d/trtgo.conf")
	flags.BoolVar(&o.interpreter, "interpreter", false, "copy the programs' dynamic loader too, with the links of the tree's top: the target is an image of its own")
	_ = flags.Parse(os.Args[1:]) // exits on errors
	o.files = flags.Args()
	if o.target == "" || o.list == "" && len(o.files) == 0 {
		fmt.Fprintln(os.Stderr, "collect: --target and something to copy are required (--list, or files)")
		os.Exit(2)
	}
	summary, err := collect(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "collect:", err)
		os.Exit(1)
	}
	summary.print(os.Stdout)
}
