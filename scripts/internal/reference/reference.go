// Package reference asks the official tokenizer libraries, each behind a Python process,
// what they make of a text.
package reference

import (
	"bufio"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"time"
)

//go:embed reference.py
var program string

// A Task is what a library is asked to do with a list of texts or of ids.
type Task byte

const (
	Encode        Task = 'e' // no special tokens added; their text is parsed
	EncodeSpecial Task = 's' // with those that the file puts around a text
	EncodePlain   Task = 'p' // the text of special tokens is plain
	Decode        Task = 'd' // special tokens kept
	DecodeSkip    Task = 'k' // special tokens left out
	timeEncode    Task = 'E'
	timeDecode    Task = 'D'
	timeLoad      Task = 'L'
)

// Library is a process. It is for one goroutine.
type Library struct {
	Version string // "tokenizers 0.23.3"

	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Reader
}

// Start loads a tokenizer file with a library: hf, sentencepiece, tekken or tiktoken, which
// takes its pattern and its special tokens, as JSON, as further arguments. python must have the library.
func Start(python string, args ...string) (*Library, error) {
	c := exec.Command(python, append([]string{"-c", program}, args...)...)
	c.Env = append(os.Environ(), "TOKENIZERS_PARALLELISM=false", "RAYON_NUM_THREADS=1")
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	l := &Library{command: c, stdin: stdin, stdout: bufio.NewReaderSize(stdout, 1<<20)}
	version, err := l.answer()
	if err != nil || len(version) != 1 {
		return nil, errors.Join(fmt.Errorf("%v: %w", args, err), l.Close())
	}
	l.Version = string(version[0])
	return l, nil
}

// Close ends the process.
func (l *Library) Close() error { return errors.Join(l.stdin.Close(), l.command.Wait()) }

// IDs encodes texts.
func (l *Library) IDs(t Task, texts []string) ([][]int32, error) {
	items := make([][]byte, len(texts))
	for i, s := range texts {
		items[i] = []byte(s)
	}
	answers, err := l.ask(t, items)
	if err != nil {
		return nil, err
	}
	lists := make([][]int32, len(answers))
	for i, raw := range answers {
		lists[i] = make([]int32, len(raw)/4)
		for k := range lists[i] {
			lists[i][k] = int32(binary.LittleEndian.Uint32(raw[4*k:]))
		}
	}
	return lists, nil
}

// Texts decodes ids.
func (l *Library) Texts(t Task, lists [][]int32) ([]string, error) {
	answers, err := l.ask(t, bytesOf(lists))
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(answers))
	for i, raw := range answers {
		texts[i] = string(raw)
	}
	return texts, nil
}

// TimeEncode, TimeDecode and TimeLoad measure inside the process, one call for each item.

func (l *Library) TimeEncode(texts []string) (time.Duration, error) {
	items := make([][]byte, len(texts))
	for i, s := range texts {
		items[i] = []byte(s)
	}
	return l.seconds(timeEncode, items)
}

func (l *Library) TimeDecode(lists [][]int32) (time.Duration, error) {
	return l.seconds(timeDecode, bytesOf(lists))
}

func (l *Library) TimeLoad() (time.Duration, error) { return l.seconds(timeLoad, make([][]byte, 1)) }

func (l *Library) seconds(t Task, items [][]byte) (time.Duration, error) {
	answers, err := l.ask(t, items)
	if err != nil {
		return 0, err
	}
	s := math.Float64frombits(binary.LittleEndian.Uint64(answers[0]))
	return time.Duration(s * float64(time.Second)), nil
}

func bytesOf(lists [][]int32) [][]byte {
	items := make([][]byte, len(lists))
	for i, ids := range lists {
		for _, id := range ids {
			items[i] = binary.LittleEndian.AppendUint32(items[i], uint32(id))
		}
	}
	return items
}

// ask writes a request while it reads the answer: neither pipe can fill up.
func (l *Library) ask(t Task, items [][]byte) ([][]byte, error) {
	request := []byte{byte(t)}
	request = binary.LittleEndian.AppendUint32(request, uint32(len(items)))
	for _, item := range items {
		request = binary.LittleEndian.AppendUint32(request, uint32(len(item)))
	}
	for _, item := range items {
		request = append(request, item...)
	}
	written := make(chan error, 1)
	go func() {
		_, err := l.stdin.Write(request)
		written <- err
	}()
	answers, err := l.answer()
	return answers, errors.Join(err, <-written)
}

func (l *Library) answer() ([][]byte, error) {
	var count uint32
	if err := binary.Read(l.stdout, binary.LittleEndian, &count); err != nil {
		return nil, fmt.Errorf("the library ended: %w", err)
	}
	lengths := make([]uint32, count)
	if err := binary.Read(l.stdout, binary.LittleEndian, lengths); err != nil {
		return nil, err
	}
	answers := make([][]byte, count)
	for i, n := range lengths {
		answers[i] = make([]byte, n)
		if _, err := io.ReadFull(l.stdout, answers[i]); err != nil {
			return nil, err
		}
	}
	return answers, nil
}
