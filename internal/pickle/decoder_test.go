package pickle_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/pickle"
)

func all(string, string) bool { return true }

func decode(content string, o pickle.Options) (any, error) {
	return pickle.NewDecoder(strings.NewReader(content), int64(len(content)), o).Decode()
}

// The same values come out of every protocol that Python's pickle has.
func TestProtocols(t *testing.T) {
	for protocol := range 6 {
		content, err := os.ReadFile(fmt.Sprintf("testdata/protocol%d.pkl", protocol))
		require.NoError(t, err)
		d := pickle.NewDecoder(bytes.NewReader(content), int64(len(content)), pickle.Options{Allow: all})
		value, err := d.Decode()
		require.NoError(t, err, "protocol %d", protocol)
		require.EqualValues(t, len(content), d.Offset())
		_, err = d.Decode()
		require.Equal(t, io.EOF, err)
		checkValues(t, value.(*pickle.Dict))
	}
}

func checkValues(t *testing.T, root *pickle.Dict) {
	get := func(key string) any {
		v, ok := root.Get(key)
		require.True(t, ok, key)
		return v
	}
	power := func(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }
	for key, want := range map[string]any{
		"none": nil, "true": true, "false": false, "zero": int64(0), "byte": int64(255), "short": int64(65535),
		"negative": int64(-2), "int": int64(math.MaxInt32), "long": int64(1 << 31), "min": int64(math.MinInt64),
		"huge": new(big.Int).Add(power(70), big.NewInt(1)), "minus_huge": new(big.Int).Neg(power(70)), "giant": power(4000),
		"float": -1.5, "inf": math.Inf(1), "empty": "", "text": "häß \\u0041 \\ \n € 😀 \x00", "quotes": "'\"",
		"bytes": []byte("\x00\xff\n'"), "no_bytes": []byte{}, "bytearray": []byte("ab"), "string300": strings.Repeat("x", 300),
		"class": pickle.Global{Module: "collections", Name: "OrderedDict"},
	} {
		require.Equal(t, want, get(key), key)
	}
	tuples := get("tuples").(pickle.Tuple)
	require.Len(t, tuples, 5)
	for i, tuple := range tuples {
		require.Len(t, tuple, i)
		for k := range i {
			require.EqualValues(t, k+1, tuple.(pickle.Tuple)[k])
		}
	}
	list := get("list").(*pickle.List)
	require.EqualValues(t, 1, list.Items[0])
	require.EqualValues(t, 2, list.Items[1].(*pickle.List).Items[0])
	require.Empty(t, list.Items[1].(*pickle.List).Items[1].(*pickle.List).Items)
	twice := get("twice").(*pickle.List)
	require.Same(t, twice.Items[0], twice.Items[1])
	require.Len(t, get("thousand").(*pickle.List).Items, 1500)

	dict := get("dict").(*pickle.Dict)
	require.Equal(t, pickle.Pair{Key: "a", Value: int64(1)}, dict.Items[0])
	require.Equal(t, pickle.Pair{Key: int64(2), Value: "b"}, dict.Items[1])
	require.Equal(t, pickle.Pair{Key: pickle.Tuple{int64(3), int64(4)}}, dict.Items[2])
	many := get("many").(*pickle.Dict)
	for i := range 20 {
		v, ok := many.Get(fmt.Sprintf("key%d", i))
		require.True(t, ok)
		require.EqualValues(t, i, v)
	}
	_, ok := many.Get("key20")
	require.False(t, ok)
	ordered := get("ordered").(*pickle.Dict)
	require.Equal(t, []pickle.Pair{{Key: "z", Value: int64(1)}, {Key: "a", Value: int64(2)}}, ordered.Items)
	require.Equal(t, []any{int64(7)}, get("set").(*pickle.Set).Items)
	require.Equal(t, []any{int64(8)}, get("frozenset").(*pickle.Set).Items)
	require.Equal(t, pickle.Tuple{"a", "b"}, get("path").(*pickle.Object).Args)
	require.Equal(t, "builtins.complex", get("complex").(*pickle.Object).Class.String())
	counter := get("counter").(*pickle.Object)
	require.Equal(t, "collections.Counter", counter.Class.String())
	require.Len(t, counter.Args[0].(*pickle.Dict).Items, 2)
}

// What a class would have made is a record of how.
func TestObjects(t *testing.T) {
	class := "cm\nC\n"
	for content, want := range map[string]pickle.Object{
		class + "(K\x01tR.":                              {Args: pickle.Tuple{int64(1)}},
		class + ")\x81.":                                 {},
		class + ")}(X\x01\x00\x00\x00kK\x05u\x92.":       {Kwargs: nil},
		class + ")RN}(X\x01\x00\x00\x00aK\x01u\x86b.":    {},
		class + ")R(K\x01K\x02e.":                        {Items: []any{int64(1), int64(2)}},
		class + ")RK\x01a.":                              {Items: []any{int64(1)}},
		class + ")R(K\x01K\x02\x90.":                     {Items: []any{int64(1), int64(2)}},
		class + ")RK\x01K\x02s.":                         {Pairs: []pickle.Pair{{Key: int64(1), Value: int64(2)}}},
		"(K\x03im\nC\n.":                                 {Args: pickle.Tuple{int64(3)}},
		"(" + class + "K\x03o.":                          {Args: pickle.Tuple{int64(3)}},
		"\x8c\x01m\x8c\x01C\x93)R.":                      {},
		class + ")RK\x09b.":                              {State: int64(9)},
		"c__builtin__\nobject\n)R.":                      {Class: pickle.Global{Module: "builtins", Name: "object"}},
		"ccopy_reg\n_reconstructor\n(" + class + "NNtR.": {Class: pickle.Global{Module: "copyreg", Name: "_reconstructor"}},
	} {
		value, err := decode(content, pickle.Options{Allow: all})
		require.NoError(t, err, "%q", content)
		o := value.(*pickle.Object)
		if want.Class.Name == "" {
			want.Class = pickle.Global{Module: "m", Name: "C"}
		}
		require.Equal(t, want.Class, o.Class)
		switch {
		case strings.Contains(content, "\x92"):
			k, _ := o.Kwargs.Get("k")
			require.EqualValues(t, 5, k)
		case strings.Contains(content, "\x86b"):
			a, ok := o.Field("a")
			require.True(t, ok)
			require.EqualValues(t, 1, a)
			_, ok = o.Field("b")
			require.False(t, ok)
		case want.Class.Name == "C":
			require.Equal(t, len(want.Args), len(o.Args), "%q", content)
			require.Equal(t, want.Items, o.Items)
			require.Equal(t, want.Pairs, o.Pairs)
			require.Equal(t, want.State, o.State)
		}
	}
}

func TestHooks(t *testing.T) {
	o := pickle.Options{
		Allow:      all,
		Persistent: func(id any) (any, error) { return fmt.Sprint("<", id, ">"), nil },
		Construct: func(class pickle.Global, args pickle.Tuple) (any, bool, error) {
			switch class.Name {
			case "mine":
				return len(args), true, nil
			case "broken":
				return nil, false, os.ErrInvalid
			}
			return nil, false, nil
		},
	}
	for content, want := range map[string]any{
		"Pa/b\n.":            "<a/b>",
		"K\x07Q.":            "<7>",
		"cm\nmine\nNN\x86R.": 2,
		"cm\nmine\n)\x81.":   0,
	} {
		v, err := decode(content, o)
		require.NoError(t, err)
		require.Equal(t, want, v)
	}
	_, err := decode("cm\nbroken\n)R.", o)
	require.ErrorIs(t, err, os.ErrInvalid)
	require.ErrorContains(t, err, "m.broken")
	o.Persistent = func(any) (any, error) { return nil, os.ErrClosed }
	_, err = decode("K\x07Q.", o)
	require.ErrorIs(t, err, os.ErrClosed)
}

// Two of the same key are one entry with the last value, as in Python.
func TestRepeatedKeys(t *testing.T) {
	var content strings.Builder
	content.WriteString("}(")
	for _, round := range []byte{0, 100} {
		for i := range byte(30) {
			content.WriteString("K" + string([]byte{i}) + "K" + string([]byte{i + round}))
			content.WriteString("\x8c\x01" + string([]byte{'A' + i}) + "K" + string([]byte{i + round}))
		}
	}
	v, err := decode(content.String()+"u.", pickle.Options{})
	require.NoError(t, err)
	d := v.(*pickle.Dict)
	require.Len(t, d.Items, 60)
	for i := range 30 {
		require.Equal(t, pickle.Pair{Key: int64(i), Value: int64(i + 100)}, d.Items[2*i])
		b, _ := d.Get(string(rune('A' + i)))
		require.EqualValues(t, i+100, b)
	}
}

// Legacy files of PyTorch are pickles that follow each other, with other bytes
// behind them.
func TestSequence(t *testing.T) {
	content := "K\x01.\x80\x02X\x03\x00\x00\x00abcq\x00.N.\xff\xff"
	d := pickle.NewDecoder(strings.NewReader(content), int64(len(content)), pickle.Options{})
	for i, want := range []any{int64(1), "abc", nil} {
		v, err := d.Decode()
		require.NoError(t, err)
		require.Equal(t, want, v)
		require.EqualValues(t, []int64{3, 16, 18}[i], d.Offset())
	}
	_, err := d.Decode()
	require.ErrorIs(t, err, pickle.ErrFormat)
	require.ErrorContains(t, err, "byte 18 is 0xff")
	// The memo of one is not the next one's.
	_, err = decode("K\x01q\x00.h\x00.", pickle.Options{})
	require.NoError(t, err)
	d = pickle.NewDecoder(strings.NewReader("K\x01q\x00.h\x00."), 8, pickle.Options{})
	_, err = d.Decode()
	require.NoError(t, err)
	_, err = d.Decode()
	require.ErrorContains(t, err, "memo entry 0 was never stored")
}

func u64(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

func TestRefused(t *testing.T) {
	only := pickle.Options{Allow: func(module, name string) bool { return module == "m" }}
	for _, test := range []struct {
		content string
		kind    error
		want    string
	}{
		// Names.
		{"cos\nsystem\n(X\x02\x00\x00\x00idtR.", pickle.ErrGlobal, "os.system, which is not among the names that are read as data here; nothing of it was run"},
		{"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.", pickle.ErrGlobal, "posix.system"},
		{"(X\x02\x00\x00\x00idios\nsystem\n.", pickle.ErrGlobal, "os.system"},
		{"(cos\nsystem\nX\x02\x00\x00\x00ido.", pickle.ErrGlobal, "os.system"},
		{"c__builtin__\neval\n.", pickle.ErrGlobal, "builtins.eval"},
		{"c" + strings.Repeat("x", 500) + "\x1b\ny\n.", pickle.ErrGlobal, "x…"},
		{"\x82\x01.", pickle.ErrFormat, "byte 0 is 0x82"}, // EXT1
		{"\x97.", pickle.ErrFormat, "byte 0 is 0x97"},     // NEXT_BUFFER
		{"K\x01K\x02\x93.", pickle.ErrFormat, "a name is made of a int and a int"},
		// Lengths that lie.
		{"\x8d" + u64(1<<40) + "x.", pickle.ErrFormat, "claims 1099511627776 bytes where 2 are left"},
		{"\x8d" + u64(math.MaxUint64) + "x.", pickle.ErrFormat, "claims 18446744073709551615 bytes"},
		{"\x8e" + u64(1<<63) + "x.", pickle.ErrFormat, "claims"},
		{"\x96" + u64(3) + "x.", pickle.ErrFormat, "claims 3 bytes where 2 are left"},
		{"\x8b\xff\xff\xff\x7fx.", pickle.ErrFormat, "claims 2147483647 bytes"},
		{"\x8b\xff\xff\xff\xffx.", pickle.ErrFormat, "claims 4294967295 bytes"},
		{"X\xff\xff\xff\xffx.", pickle.ErrFormat, "claims"},
		{"B\xff\xff\xff\xffx.", pickle.ErrFormat, "claims"},
		{"T\xff\xff\xff\xffx.", pickle.ErrFormat, "claims"},
		{"\x80\x04\x95" + u64(1<<60) + "N.", pickle.ErrFormat, "claims"},
		{"J\x01\x02", pickle.ErrFormat, "claims 4 bytes where 2 are left"},
		{"\x8b\x01\x10\x00\x00" + strings.Repeat("\x01", 4097) + ".", pickle.ErrLimit, "an integer of 4097 bytes"},
		{"L" + strings.Repeat("9", 5000) + "L\n.", pickle.ErrLimit, "an integer of 5000 digits"},
		// Values that contain themselves.
		{"]q\x00h\x00a.", pickle.ErrFormat, "contains itself"},
		{"}q\x00K\x01h\x00s.", pickle.ErrFormat, "contains itself"},
		{"]q\x00(h\x00ta.", pickle.ErrFormat, "changed after it was put into another one"},
		{"]q\x00]h\x00aa.", pickle.ErrFormat, "changed after it was put into another one"},
		{"cm\nC\n)Rq\x00h\x00b.", pickle.ErrFormat, "contains itself"},
		{"}q\x00h\x00b.", pickle.ErrFormat, "contains itself"},
		{"\x8f\x94(h\x00\x90.", pickle.ErrFormat, "contains itself"},
		// Programs that make no sense.
		{".", pickle.ErrFormat, "stops at byte 1 with 0 values"},
		{"NN.", pickle.ErrFormat, "with 2 values"},
		{"(N.", pickle.ErrFormat, "and 1 marks"},
		{"(0.", pickle.ErrFormat, "with 0 values"},
		{"0.", pickle.ErrFormat, "the stack has 0 values where 1 are needed"},
		{"N(0N(2.", pickle.ErrFormat, "the stack has 0 values"},
		{"t.", pickle.ErrFormat, "no mark"},
		{"N(a.", pickle.ErrFormat, "the stack has 0 values"},
		{"NNa.", pickle.ErrFormat, "appended to a None"},
		{"}Na.", pickle.ErrFormat, "appended to a dict"},
		{"]NNs.", pickle.ErrFormat, "entries are put into a list"},
		{"NNNs.", pickle.ErrFormat, "entries are put into a None"},
		{"}(Nu.", pickle.ErrFormat, "a key without a value"},
		{"(Nd.", pickle.ErrFormat, "a key without a value"},
		{"N)R.", pickle.ErrFormat, "it calls a None"},
		{"cm\nC\nNR.", pickle.ErrFormat, "m.C is called with a None"},
		{"cm\nC\n)N\x92.", pickle.ErrFormat, "not a dict of arguments"},
		{"(o.", pickle.ErrFormat, "an object without a class"},
		{"]Nb.", pickle.ErrFormat, "a list is given a state"},
		{"K\x01Q.", pickle.ErrFormat, "persistent id"},
		{"h\x05.", pickle.ErrFormat, "memo entry 5 was never stored"},
		{"gx\n.", pickle.ErrFormat, "memo key x is no number"},
		{"g-1\n.", pickle.ErrFormat, "memo key -1"},
		{"\x80\x06N.", pickle.ErrFormat, "protocol 6 is newer than 5"},
		{"\x8c\x02\xff\xffN.", pickle.ErrFormat, "not UTF-8"},
		{"Ix\n.", pickle.ErrFormat, "x is no integer"},
		{"Fx\n.", pickle.ErrFormat, "x is no number"},
		{"S'abc\n.", pickle.ErrFormat, "without its quotes"},
		{"S'\\q'\n.", pickle.ErrFormat, "broken escape"},
		{"S'\\x1'\n.", pickle.ErrFormat, "broken escape"},
		{"V\\u12\n.", pickle.ErrFormat, "broken escape"},
		{"V\\uzzzz\n.", pickle.ErrFormat, "broken escape"},
		{"V\\U00110000\n.", pickle.ErrFormat, "broken escape"},
		{"I12", pickle.ErrFormat, "claims 1 bytes where 0 are left"},
	} {
		_, err := decode(test.content, only)
		require.ErrorIs(t, err, test.kind, "%.40q", test.content)
		require.ErrorContains(t, err, test.want)
	}
	_, err := decode("cm\nC\n.", pickle.Options{})
	require.ErrorIs(t, err, pickle.ErrGlobal, "without Allow no name is allowed")
	for _, content := range []string{
		"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00utf16tR.", "c_codecs\nencode\n(X\x03\x00\x00\x00\xe2\x82\xacX\x06\x00\x00\x00latin1tR.",
		"ccollections\nOrderedDict\n(K\x01tR.", "ccollections\nOrderedDict\n(](K\x01etR.", "c__builtin__\nset\n(NNtR.",
	} {
		_, err := decode(content, pickle.Options{Allow: all})
		require.ErrorIs(t, err, pickle.ErrFormat, "%q", content)
	}
}

func TestLimits(t *testing.T) {
	for _, test := range []struct {
		limits  pickle.Limits
		content string
		want    string
	}{
		{pickle.Limits{Bytes: 10}, "X\x0a\x00\x00\x00" + strings.Repeat("x", 10) + ".", "more than 10 bytes"},
		{pickle.Limits{Values: 100}, "(" + strings.Repeat("N", 101) + "t.", "more than 100 values"},
		{pickle.Limits{Values: 100}, strings.Repeat("N0", 101) + "N.", "more than 100 values"},
		{pickle.Limits{Values: 100}, "Nq\x00" + strings.Repeat("h\x000", 101) + ".", "more than 100 values"},
		{pickle.Limits{Stack: 100}, strings.Repeat("N", 101), "values on the stack"},
		{pickle.Limits{Stack: 100}, strings.Repeat("(", 101), "values on the stack"},
		{pickle.Limits{Memo: 100}, "N" + strings.Repeat("\x94", 101) + ".", "more than 100 memo entries"},
		{pickle.Limits{Memo: 2}, "Nr\x00\x00\x00\xffr\x00\x00\x00\xfer\x00\x00\x00\xfd.", "more than 2 memo entries"},
		{pickle.Limits{Nesting: 10}, strings.Repeat("]", 20) + strings.Repeat("a", 19) + ".", "nested more than 10 deep"},
		{pickle.Limits{Nesting: 10}, ")" + strings.Repeat("\x85", 20) + ".", "nested more than 10 deep"},
		{pickle.Limits{Nesting: 10}, "]" + strings.Repeat("q\x000]h\x00a", 20) + ".", "nested more than 10 deep"},
		{pickle.Limits{}, ")" + strings.Repeat("\x85", 1000) + ".", "nested more than 200 deep"},
		{pickle.Limits{Nesting: 10}, "cm\nC\n" + strings.Repeat("0cm\nC\n)R", 1) + strings.Repeat("\x85q\x000cm\nC\nh\x00R", 20) + ".", "nested more than 10 deep"},
	} {
		_, err := decode(test.content, pickle.Options{Allow: all, Limits: test.limits})
		require.ErrorIs(t, err, pickle.ErrLimit, "%.40q", test.content)
		require.ErrorContains(t, err, test.want)
	}
	// A key of the memo far from the others costs nothing.
	v, err := decode("K\x01r\xff\xff\xff\xff0j\xff\xff\xff\xff.", pickle.Options{})
	require.NoError(t, err)
	require.EqualValues(t, 1, v)
}

// No prefix of a pickle is one, and an error of the reader passes.
func TestTruncated(t *testing.T) {
	for protocol := range 6 {
		content, err := os.ReadFile(fmt.Sprintf("testdata/protocol%d.pkl", protocol))
		require.NoError(t, err)
		for n := 1; n < len(content); n += 41 {
			_, err := decode(string(content[:n]), pickle.Options{Allow: all})
			require.ErrorIs(t, err, pickle.ErrFormat)
			_, err = pickle.NewDecoder(bytes.NewReader(content[:n]), int64(len(content)), pickle.Options{Allow: all}).Decode()
			require.ErrorIs(t, err, pickle.ErrFormat)
		}
	}
	_, err := pickle.NewDecoder(broken{}, 100, pickle.Options{}).Decode()
	require.ErrorIs(t, err, errBroken)
}

var errBroken = errors.New("broken disk")

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errBroken }

// FuzzDecode decodes anything; what decodes is no deeper than allowed, and no
// walk of it comes to a value from inside of itself.
func FuzzDecode(f *testing.F) {
	for protocol := range 6 {
		content, err := os.ReadFile(fmt.Sprintf("testdata/protocol%d.pkl", protocol))
		require.NoError(f, err)
		f.Add(content)
	}
	for _, seed := range []string{"]q\x00h\x00a.", "cm\nC\n)R}b.", "(K\x03im\nC\n.", "N.N.", ")\x85\x85\x85.", "]q\x00K\x01a0]h\x00ah\x00a."} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		limits := pickle.Limits{Values: 1 << 16, Nesting: 20}
		d := pickle.NewDecoder(bytes.NewReader(content), int64(len(content)), pickle.Options{
			Allow: all, Persistent: func(id any) (any, error) { return id, nil }, Limits: limits,
		})
		before := int64(0)
		for {
			v, err := d.Decode()
			if err != nil {
				return
			}
			if d.Offset() <= before || d.Offset() > int64(len(content)) {
				t.Fatalf("offset %d after %d of %d", d.Offset(), before, len(content))
			}
			before = d.Offset()
			if depth := depthOf(v, map[any]int{}, 0); depth > limits.Nesting {
				t.Fatalf("nested %d deep", depth)
			}
		}
	})
}

// depthOf fails by a stack overflow where a value contains itself.
func depthOf(v any, known map[any]int, level int) int {
	if level > 1000 {
		return level
	}
	var inner []any
	switch v := v.(type) {
	case pickle.Tuple:
		inner = v
	case *pickle.List:
		inner = v.Items
	case *pickle.Set:
		inner = v.Items
	case *pickle.Dict:
		inner = append(inner, v.State)
		for _, p := range v.Items {
			inner = append(inner, p.Key, p.Value)
		}
	case *pickle.Object:
		inner = append(append(inner, v.Args, v.State), v.Items...)
		if v.Kwargs != nil {
			inner = append(inner, v.Kwargs)
		}
		for _, p := range v.Pairs {
			inner = append(inner, p.Key, p.Value)
		}
	default:
		return 0
	}
	var id any
	if t, ok := v.(pickle.Tuple); !ok {
		id = v
	} else if len(t) > 0 {
		id = &t[0]
	}
	if depth, ok := known[id]; ok && id != nil {
		return depth
	}
	depth := 0
	for _, item := range inner {
		depth = max(depth, 1+depthOf(item, known, level+1))
	}
	known[id] = depth
	return depth
}
