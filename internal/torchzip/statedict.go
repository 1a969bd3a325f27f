package torchzip

import (
	"fmt"
	"strconv"

	"github.com/trtgo/trtgo/internal/pickle"
)

// maxEntries bounds the entries of all dicts of a state dict. The same dict may
// occur many times, so that its size says nothing.
const maxEntries = 1 << 18

// wrappers are the keys under which training programs keep the state dict.
var wrappers = []string{"state_dict", "model", "module"}

// StateDict is the tensors of a file by name. Do not modify it.
type StateDict struct {
	// Names are in the file's order.
	Names   []string
	Tensors map[string]*Tensor
	// Others names what is no tensor: numbers, None, the _extra_state of modules.
	Others []string
	// Under has the keys, joined by dots, under which the state dict lies in the
	// saved value; empty where it is the value itself.
	Under string
}

// Tensors gives the tensors of a file that holds a state dict, or a dict that has
// one under "state_dict", "model" or "module". Dicts in it are modules, whose
// names and the names of what they hold are joined by dots.
func (f *File) Tensors() (*StateDict, error) {
	d, err := f.stateDict()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	return d, nil
}

func (f *File) stateDict() (*StateDict, error) {
	root, ok := f.root.(*pickle.Dict)
	if !ok {
		return nil, fmt.Errorf("%w: it holds a %T, not a state dict: save the model's state_dict()", ErrFormat, f.root)
	}
	d := &StateDict{Tensors: map[string]*Tensor{}}
	for {
		key, inner := unwrapped(root)
		if inner == nil {
			break
		}
		root, d.Under = inner, joined(d.Under, key)
	}
	left := maxEntries
	if err := d.flatten(root, "", &left); err != nil {
		return nil, err
	}
	if len(d.Names) == 0 {
		return nil, fmt.Errorf("%w: the saved dict holds no tensors", ErrFormat)
	}
	return d, nil
}

// unwrapped finds the wrapper of a dict that is no state dict itself.
func unwrapped(d *pickle.Dict) (string, *pickle.Dict) {
	for _, key := range wrappers {
		v, _ := d.Get(key)
		inner, ok := v.(*pickle.Dict)
		if !ok || !holdsTensors(inner, map[*pickle.Dict]bool{}) {
			continue
		}
		if key == wrappers[0] || !direct(d) {
			return key, inner
		}
	}
	return "", nil
}

// direct tells whether tensors lie in the dict itself.
func direct(d *pickle.Dict) bool {
	for _, p := range d.Items {
		if _, ok := p.Value.(*Tensor); ok {
			return true
		}
	}
	return false
}

func holdsTensors(d *pickle.Dict, seen map[*pickle.Dict]bool) bool {
	if seen[d] {
		return false
	}
	seen[d] = true
	if direct(d) {
		return true
	}
	for _, p := range d.Items {
		if inner, ok := p.Value.(*pickle.Dict); ok && holdsTensors(inner, seen) {
			return true
		}
	}
	return false
}

// flatten adds the entries of a dict. Its depth is bounded by the decoder's
// limit, its breadth by left.
func (d *StateDict) flatten(from *pickle.Dict, prefix string, left *int) error {
	for _, p := range from.Items {
		if *left--; *left < 0 {
			return fmt.Errorf("%w: the state dict has more than %d entries", ErrFormat, maxEntries)
		}
		name := ""
		switch key := p.Key.(type) {
		case string:
			name = joined(prefix, key)
		case int64:
			name = joined(prefix, strconv.FormatInt(key, 10))
		default:
			return fmt.Errorf("%w: under %q, a key of the state dict is a %T, not a string", ErrFormat, prefix, p.Key)
		}
		switch v := p.Value.(type) {
		case *Tensor:
			if d.Tensors[name] != nil {
				return fmt.Errorf("%w: two tensors are called %s", ErrFormat, name)
			}
			d.Tensors[name] = v
			d.Names = append(d.Names, name)
		case *pickle.Dict:
			if err := d.flatten(v, name, left); err != nil {
				return err
			}
		default:
			d.Others = append(d.Others, name)
		}
	}
	return nil
}

func joined(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}
