package native

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/internal/elfscan"
)

// libraries has the file name of each flavour, the variable that names another, and the option of CMake that builds it.
var libraries = map[Flavour]struct{ file, variable, headers string }{
	TensorRT:    {"libtrtgo_tensorrt.so", "TRTGO_NATIVE_LIB", "TENSORRT_ROOT"},
	TensorRTRTX: {"libtrtgo_rtx.so", "TRTGO_NATIVE_LIB_RTX", "TENSORRT_RTX_ROOT"},
}

// Find returns the path of a flavour's library: what TRTGO_NATIVE_LIB (TRTGO_NATIVE_LIB_RTX for TensorRT-RTX) says;
// otherwise libtrtgo_tensorrt.so (libtrtgo_rtx.so) beside the program, in the lib directory beside that of the program, in
// LD_LIBRARY_PATH, in /usr/local/lib, or where the system's loader looks: in the directories of /etc/ld.so.conf and its
// own. When it is in none of them the error is a [*MissingError].
func Find(f Flavour) (string, error) {
	l, ok := libraries[f]
	if !ok {
		return "", &Error{StatusInvalid, "Find", fmt.Sprintf("there is no flavour %q of TensorRT", f)}
	}
	if path := os.Getenv(l.variable); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", &Error{StatusNotFound, "Find", fmt.Sprintf("%s names a library that is not there: %v", l.variable, err)}
		}
		return filepath.Abs(path) // dlopen would look for a mere name elsewhere
	}
	directories := searched()
	for _, d := range directories {
		path := filepath.Join(d, l.file)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return filepath.Abs(path)
		}
	}
	return "", &MissingError{&Error{StatusNotFound, "Find", fmt.Sprintf("%s is not there: build it (cmake -D%s=HEADERS) and put it beside the program, or name it in %s; looked in %s",
		l.file, l.headers, l.variable, strings.Join(directories, ", "))}, directories}
}

// MissingError is the error of a library that is nowhere. It wraps the [*Error] whose text it has.
type MissingError struct {
	Err      *Error
	Searched []string // directories
}

// Error returns the text of Err.
func (e *MissingError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *MissingError) Unwrap() error { return e.Err }

// searched lists the directories in which libraries are looked for.
func searched() []string {
	var directories []string
	if program, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(program); err == nil {
			program = real
		}
		beside := filepath.Dir(program)
		directories = append(directories, beside, filepath.Join(filepath.Dir(beside), "lib"))
	}
	loader := elfscan.NewSearch("/", os.Getenv("LD_LIBRARY_PATH"))
	for _, d := range slices.Concat(loader.LibraryPath, []string{"/usr/local/lib"}, loader.System) {
		if !slices.Contains(directories, d) {
			directories = append(directories, d)
		}
	}
	return directories
}
