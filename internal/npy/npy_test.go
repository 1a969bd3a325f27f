package npy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/npy"
)

// The array in the integer files of testdata, which scripts/numpy_goldens.py makes with numpy.
var golden = []int64{1, 2, 3, 4, 5, 6, 2, 2, -7, 2147483647, -2147483648, 0}

func file(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return data
}

func TestReadIntegers(t *testing.T) {
	for _, name := range []string{"int32", "int64", "int64-fortran", "int32-big-endian", "int32-version2", "int32-version3"} {
		t.Run(name, func(t *testing.T) {
			raw := file(t, name+".npy")
			wide, err := npy.Read[int64](bytes.NewReader(raw))
			require.NoError(t, err)
			require.Equal(t, []int{3, 4}, wide.Shape)
			require.Equal(t, golden, wide.Data)

			narrow, err := npy.Read[int32](bytes.NewReader(raw))
			require.NoError(t, err)
			rows, err := narrow.Rows()
			require.NoError(t, err)
			require.Equal(t, [][]int32{{1, 2, 3, 4}, {5, 6, 2, 2}, {-7, 2147483647, -2147483648, 0}}, rows)
		})
	}
}

func TestReadFloats(t *testing.T) {
	want := make([]float32, 24)
	for i := range want {
		want[i] = float32(i)/7 - 1
	}
	for _, name := range []string{"float32.npy", "float32-fortran.npy"} {
		got, err := npy.Read[float32](bytes.NewReader(file(t, name)))
		require.NoError(t, err)
		require.Equal(t, npy.Array[float32]{Shape: []int{2, 3, 4}, Data: want}, got, name)
	}
	scalar, err := npy.Read[float32](bytes.NewReader(file(t, "float32-scalar.npy")))
	require.NoError(t, err)
	require.Equal(t, npy.Array[float32]{Shape: []int{}, Data: []float32{2.5}}, scalar)
}

func TestRows(t *testing.T) {
	vector, err := npy.Read[int32](bytes.NewReader(file(t, "int32-vector.npy")))
	require.NoError(t, err)
	rows, err := vector.Rows()
	require.NoError(t, err)
	require.Equal(t, [][]int32{{0, 1, 2, 3, 4}}, rows)

	empty, err := npy.Read[int32](bytes.NewReader(file(t, "int32-empty.npy")))
	require.NoError(t, err)
	rows, err = empty.Rows()
	require.NoError(t, err)
	require.Empty(t, rows)

	_, err = npy.Array[float32]{Shape: []int{2, 3, 4}, Data: make([]float32, 24)}.Rows()
	require.ErrorContains(t, err, "3 dimensions, shape [2 3 4]")
	_, err = npy.Array[float32]{Shape: []int{1 << 40, 0}}.Rows()
	require.ErrorIs(t, err, npy.ErrFormat)
}

// What is written is what numpy.save wrote, padding included.
func TestWriteEqualsNumpy(t *testing.T) {
	rewrite := func(name string, write func(io.Writer, []byte) error) {
		raw := file(t, name)
		var out bytes.Buffer
		require.NoError(t, write(&out, raw), name)
		require.Equal(t, raw, out.Bytes(), name)
	}
	for _, name := range []string{"int32.npy", "int32-vector.npy", "int32-empty.npy"} {
		rewrite(name, rewriteAs[int32])
	}
	rewrite("int64.npy", rewriteAs[int64])
	rewrite("float32.npy", rewriteAs[float32])
	rewrite("float32-scalar.npy", rewriteAs[float32])
}

func rewriteAs[T npy.Element](w io.Writer, raw []byte) error {
	a, err := npy.Read[T](bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return npy.Write(w, a)
}

func TestWriterTakesPieces(t *testing.T) {
	var out bytes.Buffer
	w, err := npy.NewWriter[float32](&out, 3, 5000)
	require.NoError(t, err)
	row := make([]float32, 5000)
	for i := range 3 {
		row[0] = float32(i)
		require.NoError(t, w.Write(row))
		if i < 2 {
			require.ErrorContains(t, w.Close(), fmt.Sprintf("%d of the array's 15000 elements", (2-i)*5000))
		}
	}
	require.NoError(t, w.Close())
	require.ErrorContains(t, w.Write(row[:1]), "1 elements more than the 15000")
	got, err := npy.Read[float32](&out)
	require.NoError(t, err)
	require.Equal(t, []float32{0, 1, 2}, []float32{got.Data[0], got.Data[5000], got.Data[10000]})
}

func TestWriteRefusesAWrongShape(t *testing.T) {
	require.ErrorContains(t, npy.Write(io.Discard, npy.Array[int32]{Shape: []int{2, 2}, Data: make([]int32, 3)}), "3 elements for shape [2 2], which holds 4")
	require.ErrorContains(t, npy.Write(io.Discard, npy.Array[int32]{Shape: []int{-1}}), "negative")
	_, err := npy.NewWriter[int32](io.Discard, make([]int, 65)...)
	require.ErrorContains(t, err, "65 dimensions")
	_, err = npy.NewWriter[int64](io.Discard, 1<<40, 1<<40)
	require.ErrorContains(t, err, "too large")
}

func TestWriteReportsItsWriter(t *testing.T) {
	full := errors.New("disk full")
	require.ErrorIs(t, npy.Write(failing{full}, npy.Array[int32]{Shape: []int{0}}), full)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestReadStopsAfterTheArray(t *testing.T) {
	r := bytes.NewReader(append(file(t, "int32.npy"), "next"...))
	_, err := npy.Read[int32](r)
	require.NoError(t, err)
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "next", string(rest))
}

// Every prefix of a file is an error, never a shorter array.
func TestTruncatedFiles(t *testing.T) {
	for _, name := range []string{"int32.npy", "int32-version2.npy"} {
		raw := file(t, name)
		for n := range raw {
			_, err := npy.Read[int32](bytes.NewReader(raw[:n]))
			require.ErrorIs(t, err, npy.ErrFormat, "%s cut to %d bytes", name, n)
		}
	}
	_, err := npy.Read[int32](bytes.NewReader(file(t, "int32.npy")[:170]))
	require.ErrorContains(t, err, "ends within element 11 of 12")
}

// build makes a file of version 1.0 with this header.
func build(header string, data ...byte) []byte {
	out := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	return append(append(out, header...), data...)
}

func TestHeadersInOtherSpellings(t *testing.T) {
	for _, header := range []string{
		`{'shape':(2,),'descr':'<i4','fortran_order':False}`,
		`{"descr": "|i4", "fortran_order": True, "shape": (2), }   ` + "\n",
		"{ u'descr' : '=i4' ,\n 'fortran_order' : False , 'shape' : ( 2L , ) }",
	} {
		got, err := npy.Read[int32](bytes.NewReader(build(header, 1, 0, 0, 0, 2, 0, 0, 0)))
		require.NoError(t, err, header)
		require.Equal(t, npy.Array[int32]{Shape: []int{2}, Data: []int32{1, 2}}, got, header)
	}
}

func TestBadFiles(t *testing.T) {
	head := func(descr, order, shape string) []byte {
		return build(fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }", descr, order, shape))
	}
	for _, c := range []struct {
		name string
		data []byte
		is   error
		says string
	}{
		{"empty", nil, npy.ErrFormat, "first 8 bytes"},
		{"text", []byte("1,2,3\n4,5,6\n"), npy.ErrFormat, `begins with "1,2,3\n"`},
		{"version 4", []byte("\x93NUMPY\x04\x00\x00\x00\x00\x00"), npy.ErrUnsupported, "version 4.0"},
		{"long header", []byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"), npy.ErrFormat, "4294967295 bytes"},
		{"no dictionary", build("[]"), npy.ErrFormat, `"[]" where "{" should be`},
		{"no shape", build("{'descr': '<i4', 'fortran_order': False}"), npy.ErrFormat, `no key "shape"`},
		{"key twice", build("{'descr': '<i4', 'descr': '<i4'}"), npy.ErrFormat, "twice"},
		{"other key", build("{'x': 1}"), npy.ErrFormat, "x: unknown key"},
		{"unfinished", build("{'descr': '<i4', "), npy.ErrFormat, "string should be"},
		{"open string", build("{'descr"), npy.ErrFormat, "does not end"},
		{"rest", build("{'descr': '<i4', 'fortran_order': False, 'shape': ()} + 1"), npy.ErrFormat, `"+ 1" after`},
		{"order", head("'<i4'", "0", "()"), npy.ErrFormat, "fortran_order"},
		{"negative length", head("'<i4'", "False", "(-1,)"), npy.ErrFormat, "length should be"},
		{"huge length", head("'<i4'", "False", "(99999999999999999999,)"), npy.ErrFormat, "length should be"},
		{"overflow", head("'<i4'", "False", "(4294967296, 4294967296, 4)"), npy.ErrFormat, "too large"},
		{"lie", head("'<i4'", "False", "(1000000000000,)"), npy.ErrFormat, "element 1 of 1000000000000"},
		{"dimensions", head("'<i4'", "False", "("+strings.Repeat("1,", 65)+")"), npy.ErrFormat, "more than 64"},
		{"record", head("[('a', '<i4')]", "False", "(1,)"), npy.ErrUnsupported, "record array"},
		{"float64", file(t, "float64.npy"), npy.ErrUnsupported, "float64, int32 or int64 is needed"},
		{"float32", file(t, "float32.npy"), npy.ErrUnsupported, "float32, int32 or int64 is needed"},
		{"object", file(t, "object.npy"), npy.ErrUnsupported, "Python objects"},
		{"string", head("'<U7'", "False", "(1,)"), npy.ErrUnsupported, `"U7"`},
		{"no type", head("''", "False", "(1,)"), npy.ErrUnsupported, `""`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := npy.Read[int32](bytes.NewReader(c.data))
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, c.says)
		})
	}
	_, err := npy.Read[float32](bytes.NewReader(file(t, "int32.npy")))
	require.ErrorIs(t, err, npy.ErrUnsupported)
	require.ErrorContains(t, err, "int32, float32 is needed")
}

func TestANumberThatDoesNotFit(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, npy.Write(&out, npy.Array[int64]{Shape: []int{2}, Data: []int64{5, 1 << 31}}))
	_, err := npy.Read[int32](bytes.NewReader(out.Bytes()))
	require.ErrorIs(t, err, npy.ErrUnsupported)
	require.ErrorContains(t, err, "element 2")
	require.ErrorContains(t, err, "2147483648 does not fit into int32")
}

func TestReadReportsItsReader(t *testing.T) {
	broken := errors.New("cable pulled")
	raw := file(t, "int32.npy")
	for _, n := range []int{0, 9, 50, 150} {
		_, err := npy.Read[int32](io.MultiReader(bytes.NewReader(raw[:n]), iotest.ErrReader(broken)))
		require.ErrorIs(t, err, broken, "after %d bytes", n)
		require.NotErrorIs(t, err, npy.ErrFormat)
	}
}

func FuzzNPY(f *testing.F) {
	names, err := filepath.Glob("testdata/*.npy")
	require.NoError(f, err)
	require.NotEmpty(f, names)
	for _, name := range names {
		raw, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Add(build("{'descr': '<i4', 'fortran_order': True, 'shape': (0, 9999999), }"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if ints, err := npy.Read[int64](bytes.NewReader(raw)); err == nil {
			again(t, ints)
			_, _ = ints.Rows()
		}
		if floats, err := npy.Read[float32](bytes.NewReader(raw)); err == nil {
			require.LessOrEqual(t, 4*len(floats.Data), len(raw))
		}
	})
}

// again writes what was read and reads it back.
func again(t *testing.T, a npy.Array[int64]) {
	var out bytes.Buffer
	require.NoError(t, npy.Write(&out, a))
	back, err := npy.Read[int64](&out)
	require.NoError(t, err)
	require.Equal(t, a, back)
}

func Example() {
	var file bytes.Buffer
	ids := npy.Array[int32]{Shape: []int{2, 3}, Data: []int32{1, 450, 8963, 1, 512, 2}}
	if err := npy.Write(&file, ids); err != nil {
		fmt.Println(err)
	}
	back, err := npy.Read[int32](&file)
	if err != nil {
		fmt.Println(err)
	}
	rows, _ := back.Rows()
	fmt.Println(rows)
	// Output: [[1 450 8963] [1 512 2]]
}
