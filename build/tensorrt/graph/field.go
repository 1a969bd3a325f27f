package graph

import (
	"fmt"
	"strings"
)

// FieldType is the type of a field's values by TensorRT's name (PluginFieldType).
type FieldType string

// The types that are used here. Text is CHAR.
const (
	FieldInt8    FieldType = "INT8"
	FieldInt32   FieldType = "INT32"
	FieldInt64   FieldType = "INT64"
	FieldFloat32 FieldType = "FLOAT32"
	FieldText    FieldType = "CHAR"
)

// Field is a named attribute of a layer or of a plugin. One of Ints, Floats and Text
// is used, as Type says.
type Field struct {
	Name   string
	Type   FieldType
	Ints   []int64
	Floats []float32
	Text   string
}

// Int32Field and the functions below make fields.
func Int32Field(name string, values ...int64) Field {
	return Field{Name: name, Type: FieldInt32, Ints: values}
}

// Int8Field makes a field of bytes.
func Int8Field(name string, value int64) Field {
	return Field{Name: name, Type: FieldInt8, Ints: []int64{value}}
}

// Int64Field makes a field of 64-bit integers, e.g. dimensions.
func Int64Field(name string, values ...int64) Field {
	return Field{Name: name, Type: FieldInt64, Ints: values}
}

// Float32Field makes a field of one number.
func Float32Field(name string, value float32) Field {
	return Field{Name: name, Type: FieldFloat32, Floats: []float32{value}}
}

// TextField makes a field of text, e.g. an enumerator.
func TextField(name, text string) Field { return Field{Name: name, Type: FieldText, Text: text} }

// Length is the number of values.
func (f Field) Length() int {
	switch f.Type {
	case FieldText:
		return len(f.Text)
	case FieldFloat32:
		return len(f.Floats)
	}
	return len(f.Ints)
}

// String is name=value.
func (f Field) String() string {
	var value string
	switch {
	case f.Type == FieldText:
		value = f.Text
	case f.Type == FieldFloat32 && len(f.Floats) == 1:
		value = fmt.Sprint(f.Floats[0])
	case f.Type == FieldFloat32:
		value = fmt.Sprint(f.Floats)
	case len(f.Ints) == 1:
		value = fmt.Sprint(f.Ints[0])
	default:
		value = strings.ReplaceAll(fmt.Sprint(f.Ints), " ", ",")
	}
	return f.Name + "=" + value
}
