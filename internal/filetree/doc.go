// Package filetree reads a directory and a tar archive in the same way: as a set
// of regular files under slash-separated names. Nothing is unpacked. A file of an
// archive is a section of the archive, found once by reading its headers.
//
// Both are treated as hostile. A name that leads out of the tree, a name that
// occurs twice and a file that reaches beyond the archive's end are errors; links
// are followed to files of the same tree only, and from a snapshot of Hugging
// Face's cache to the blobs of its repository; the number of files and the length
// of their names are bounded. No more than a few files of a directory are open at
// a time, however many of them are being read.
//
//	tree, err := filetree.OpenTar("model.nemo")
//	if err != nil {
//		return err
//	}
//	defer tree.Close()
//	weights := filetree.Sub(tree, "model_weights")
//	text, err := filetree.ReadFile(weights, "metadata.json", 1<<20)
package filetree
