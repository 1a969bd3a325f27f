//go:build cgo && linux

package native

import (
	"fmt"
	"sync"
	"syscall"
	"unsafe"
)

// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "loader.h"
import "C"

// Library is a TensorRT that was loaded. Its methods may be called by several goroutines.
type Library struct {
	api      *C.trtgo_api // C memory, kept until the process ends: networks may outlive a failed Close
	versions Versions

	calls sync.Mutex // held by the calls that take c, which is one at a time, but for messages

	mu        sync.Mutex // guards what follows
	c         *C.trtgo_library
	networks  int // open
	executors int // open, or being opened
}

// Open loads the libraries. Errors are ErrUnavailable, ErrNotFound, ErrVersion and ErrInvalid. Once a flavour was
// opened, open no other one in the same process: they define the same symbols.
func Open(o Options) (*Library, error) {
	if o.Path == "" {
		path, err := Find(o.Flavour)
		if err != nil {
			return nil, err
		}
		o.Path = path
	}
	l := &Library{}
	if err := l.load(o); err != nil {
		return nil, err
	}
	if err := l.open(o); err != nil {
		C.free(unsafe.Pointer(l.api))
		return nil, err
	}
	return l, nil
}

// load finds the functions of the library.
func (l *Library) load(o Options) error {
	if err := checkWhole(o.Path); err != nil {
		return err
	}
	var a arena
	defer a.free()
	api := (*C.trtgo_api)(C.malloc(C.sizeof_trtgo_api))
	message := slice[C.char](&a, 1024)
	failed := C.trtgo_load(a.text(o.Path), api, &message[0], C.size_t(len(message)))
	if failed == 0 {
		l.api = api
		return nil
	}
	C.free(unsafe.Pointer(api))
	text := C.GoString(&message[0])
	if failed == 1 {
		return &Error{StatusNotFound, "dlopen", fmt.Sprintf("cannot load %s: %s", o.Path, Explain(text))}
	}
	return &Error{StatusVersion, "dlsym", text + ": it is of another version of trtgo than this program"}
}

// open checks the flavour and loads TensorRT.
func (l *Library) open(o Options) error {
	var a arena
	defer a.free()
	var failure *C.trtgo_error
	versions := C.trtgo_versions{struct_size: C.sizeof_trtgo_versions}
	if err := l.failure(C.api_get_versions(l.api, &versions, &failure), failure); err != nil {
		return err
	}
	l.versions = Versions{
		Flavour: Flavour(C.GoString(versions.flavour)), Headers: int(versions.headers), Producer: C.GoString(versions.producer),
		ExecutorHeaders: C.GoString(versions.executor_headers), Executor: C.GoString(versions.executor),
	}
	if o.Flavour != "" && o.Flavour != l.versions.Flavour {
		return &Error{StatusVersion, "Open", fmt.Sprintf("%s drives %s, want a library that drives %s", o.Path, l.versions.Flavour, o.Flavour)}
	}
	options := C.trtgo_library_options{
		struct_size: C.sizeof_trtgo_library_options, tensorrt: a.optional(o.TensorRT), plugins: a.optional(o.Plugins),
		plugin_namespace: a.optional(o.PluginNamespace), verbose: cBool(o.Verbose),
	}
	if err := explainedError(l.failure(C.api_library_open(l.api, &options, &l.c, &failure), failure)); err != nil {
		return err
	}
	l.versions.TensorRT = int(C.api_library_version(l.api, l.c))
	return nil
}

// Versions tells what was loaded.
func (l *Library) Versions() Versions { return l.versions }

// PluginFields lists the fields of a plugin, as its creator names them. The error is ErrNotFound where no library
// registered it.
func (l *Library) PluginFields(creator, version, namespace string) ([]PluginField, error) {
	l.calls.Lock()
	defer l.calls.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.c == nil {
		return nil, ErrClosed
	}
	var a arena
	defer a.free()
	c, v, n := a.text(creator), a.text(version), a.text(namespace)
	var fields []PluginField
	for {
		var failure *C.trtgo_error
		var name, kind *C.char
		status := C.api_library_plugin_field(l.api, l.c, c, v, n, C.int32_t(len(fields)), &name, &kind, &failure)
		if err := l.failure(status, failure); err != nil {
			return nil, err
		}
		if name == nil {
			return fields, nil
		}
		fields = append(fields, PluginField{C.GoString(name), C.GoString(kind)})
	}
}

// Messages takes what TensorRT said since the last call, at most the newest 4096. It may be called during a build.
func (l *Library) Messages() []Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []Message
	var severity C.int32_t
	var text *C.char
	for l.c != nil && C.api_library_message(l.api, l.c, &severity, &text) != 0 {
		list = append(list, Message{Severity(severity), C.GoString(text)})
	}
	return list
}

// Close ends the use of TensorRT, which stays loaded. Its networks and its executor must be closed before: otherwise
// it returns an error and does nothing. A second call does nothing.
func (l *Library) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.networks > 0 {
		return &Error{StatusInvalid, "Close", fmt.Sprintf("%d networks of the library are open", l.networks)}
	}
	if l.executors > 0 {
		return &Error{StatusInvalid, "Close", "an executor of the library is open"}
	}
	if l.c != nil {
		C.api_library_close(l.api, l.c)
		C.free(unsafe.Pointer(l.api))
		l.c, l.api = nil, nil
	}
	return nil
}

// failure makes an error of a status, and frees what came with it.
func (l *Library) failure(status C.int32_t, c *C.trtgo_error) error {
	return failureOf(l.api, status, c)
}

func failureOf(api *C.trtgo_api, status C.int32_t, c *C.trtgo_error) error {
	switch {
	case status == 0:
		return nil
	case status < 0:
		return &Error{StatusMemory, "pthread_create", "no thread can be started: " + syscall.Errno(-status).Error()}
	case c == nil:
		return &Error{Status(status), "trtgo", "the library failed without saying why"}
	}
	defer C.api_error_free(api, c)
	return &Error{Status(status), C.GoString(C.api_error_operation(api, c)), C.GoString(C.api_error_text(api, c))}
}

func cBool(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}
