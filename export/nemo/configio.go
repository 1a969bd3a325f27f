package nemo

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// serialised is NeMo 2's context/io.json: a graph of calls as the library fiddle
// writes it (fiddle/_src/experimental/serialization.py). It has the arguments that
// were given, not the defaults.
type serialised struct {
	Objects map[string]*call `json:"objects"`
}

// call is an object of the graph: a class and its arguments, each a path such as
// "Attr(name='num_layers')" and a value.
type call struct {
	Type     pyref                `json:"type"`
	Items    [][2]json.RawMessage `json:"items"`
	Metadata json.RawMessage      `json:"metadata"`
	Paths    []string             `json:"paths"`
}

// pyref names a class or a function; as a value it has type "pyref".
type pyref struct {
	Module string `json:"module"`
	Name   string `json:"name"`
}

func (p pyref) String() string { return p.Module + "." + p.Name }

// value is one of the forms that values have: a leaf, a reference to an object, a
// name of Python's.
type value struct {
	Type  string          `json:"type"`
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
	pyref
}

// parseIO reads io.json, which a checkpoint without a model.yaml may have. The
// defaults are those of the classes in classes.go; another class is refused.
func parseIO(text []byte) (*settings, error) {
	var graph serialised
	if err := json.Unmarshal(text, &graph); err != nil {
		return nil, fmt.Errorf("%w: %w", checkpoint.ErrInvalid, err)
	}
	config, class, err := graph.find("config")
	if err != nil {
		return nil, err
	}
	root := map[string]any{"config": config}
	if !defaults(config, class) {
		return nil, fmt.Errorf("the config's class %.100s is %w without a model.yaml: io.json does not hold its defaults, and those of %s alone are known; write the model.yaml with NeMo", class, checkpoint.ErrUnsupported, strings.Join(slices.Sorted(maps.Keys(classes)), ", "))
	}
	if _, model, err := graph.find(""); err == nil {
		root["_target_"] = model
	}
	if tokenizer, _, err := graph.find("tokenizer"); err == nil {
		root["tokenizer"] = tokenizer
	}
	return settings2(root)
}

// find gives an argument of the model, or with "" the model itself, in the form
// that model.yaml has, and its class.
func (g *serialised) find(argument string) (object map[string]any, class string, err error) {
	paths := []string{"<root>.model", "<root>"}
	if argument != "" {
		paths = []string{"<root>.model." + argument, "<root>." + argument}
	}
	for _, path := range paths {
		for _, c := range g.Objects {
			if c != nil && slices.Contains(c.Paths, path) {
				class := g.class(c)
				object := g.arguments(c)
				object["_target_"] = class
				return object, class, nil
			}
		}
	}
	return nil, "", fmt.Errorf("%w: no object has the path %s", checkpoint.ErrInvalid, paths[0])
}

// class gives what a call calls. Fiddle keeps it in the metadata: an object of
// which one item is the class.
func (g *serialised) class(c *call) string {
	var at value
	if json.Unmarshal(c.Metadata, &at) != nil || g.Objects[at.Key] == nil {
		return c.Type.String()
	}
	for _, item := range g.Objects[at.Key].Items {
		var v value
		if attribute(item[0]) == "fn_or_cls" && json.Unmarshal(item[1], &v) == nil && v.Type == "pyref" {
			return v.pyref.String()
		}
	}
	return c.Type.String()
}

// arguments gives the plain arguments of a call: numbers, texts, names as
// {_target_: …}, and lists of those.
func (g *serialised) arguments(c *call) map[string]any {
	out := map[string]any{}
	for _, item := range c.Items {
		if name := attribute(item[0]); name != "" {
			out[name] = g.plain(item[1], true)
		}
	}
	return out
}

// plain turns a value into what model.yaml has for it. Objects in it are followed
// once, for lists.
func (g *serialised) plain(raw json.RawMessage, follow bool) any {
	var v value
	if json.Unmarshal(raw, &v) != nil || v.Type == "" {
		return scalar(raw)
	}
	switch v.Type {
	case "leaf":
		return scalar(v.Value)
	case "pyref":
		return map[string]any{"_target_": v.pyref.String()}
	}
	object := g.Objects[v.Key]
	if object == nil || !follow {
		return nil
	}
	if object.Type.Name != "list" && object.Type.Name != "tuple" {
		return map[string]any{"_target_": g.class(object)}
	}
	list := []any{}
	for _, item := range object.Items {
		list = append(list, g.plain(item[1], false))
	}
	return list
}

// scalar reads a number, a text or a boolean.
func scalar(raw json.RawMessage) any {
	var n int64
	if json.Unmarshal(raw, &n) == nil && string(raw) != "null" {
		return n
	}
	var v any
	_ = json.Unmarshal(raw, &v) // what is none of them is nothing that is asked for
	return v
}

// attribute reads the name of Attr(name='num_layers').
func attribute(raw json.RawMessage) string {
	var text string
	_ = json.Unmarshal(raw, &text) // another path names no attribute
	name, _ := strings.CutPrefix(text, "Attr(name='")
	name, ok := strings.CutSuffix(name, "')")
	if !ok {
		return ""
	}
	return name
}
