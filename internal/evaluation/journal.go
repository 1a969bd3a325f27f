package evaluation

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/trtgo/trtgo/internal/regularfile"
)

// ErrOtherRun is wrapped by errors about a file of results that another evaluation wrote: another kind, or one with other
// settings.
var ErrOtherRun = errors.New("results of another evaluation")

// Setting is what the results of an evaluation depend on: they are worth nothing to a run where it has another value.
type Setting struct{ Name, Value string }

// maxJournalLine bounds the memory that one line of a journal takes when it is read.
const maxJournalLine = 16 << 20

// journal is a file of JSON lines that keeps what an evaluation has finished, as it goes: a line of head with the evaluation's
// settings, then a record for each part. Until all is there its name ends in ".partial". A run that finds it goes on from there.
//
// A nil journal keeps nothing. It is not safe for concurrent use.
type journal struct {
	file *os.File // nil when the file was complete already
	path string
	// Records are those of earlier runs.
	records []json.RawMessage
}

// journalHead is the first line.
type journalHead struct {
	Evaluation string            `json:"evaluation"`
	Settings   map[string]string `json:"settings"`
}

// openJournal opens the journal at path, or begins it; an empty path is none. An error wraps ErrOtherRun where the file is of
// another evaluation, and says which setting differs.
func openJournal(path, evaluation string, settings []Setting) (*journal, error) {
	if path == "" {
		return nil, nil
	}
	j := &journal{path: path}
	partial := path + ".partial"
	for _, name := range []string{path, partial} {
		end, err := j.read(name, evaluation, settings)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case name == path:
			return j, nil
		}
		return j, j.resume(partial, end)
	}
	return j, j.begin(partial, evaluation, settings)
}

// read checks a journal's head and takes its records. end is where the last whole line ends: a run that was killed may have
// left a part of one.
func (j *journal) read(path, evaluation string, settings []Setting) (end int64, err error) {
	file, _, err := regularfile.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	lines := bufio.NewReader(file)
	for number := 1; ; number++ {
		line, err := readLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("%s, line %d: %w", path, number, err)
		}
		if number == 1 {
			if wrong := checkHead(path, line, evaluation, settings); wrong != nil {
				return 0, wrong
			}
		}
		if err != nil { // the end, perhaps after a part of a line
			return end, nil
		}
		if !json.Valid(line) {
			return 0, fmt.Errorf("%s, line %d is not JSON: remove the file to begin anew", path, number)
		}
		if number > 1 {
			j.records = append(j.records, bytes.Clone(line))
		}
		end += int64(len(line)) + 1
	}
}

// readLine reads a line without its end. At the end of the file it returns what is left with io.EOF.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxJournalLine:
			return nil, fmt.Errorf("more than %d bytes in a line", maxJournalLine)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return line, err
		}
		return line[:len(line)-1], nil
	}
}

func checkHead(path string, line []byte, evaluation string, settings []Setting) error {
	var head journalHead
	if err := json.Unmarshal(line, &head); err != nil || head.Evaluation == "" {
		return fmt.Errorf("%w: %s exists and does not begin as a file that `trtgo eval %s` wrote: remove it or name another", ErrOtherRun, path, evaluation)
	}
	if head.Evaluation != evaluation {
		return fmt.Errorf("%w: %s is of %s, not of %s: name another file", ErrOtherRun, path, head.Evaluation, evaluation)
	}
	for _, s := range settings {
		if was := head.Settings[s.Name]; was != s.Value {
			return fmt.Errorf("%w: %s was begun with %s %s, now it is %s: run with the former to go on, or name another file", ErrOtherRun, path, s.Name, was, s.Value)
		}
	}
	return nil
}

// resume opens a journal to go on at its end.
func (j *journal) resume(partial string, end int64) error {
	file, err := os.OpenFile(partial, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err = file.Seek(end, io.SeekStart); err == nil {
		err = file.Truncate(end)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	j.file = file
	return nil
}

func (j *journal) begin(partial, evaluation string, settings []Setting) error {
	file, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	j.file = file
	head := journalHead{evaluation, map[string]string{}}
	for _, s := range settings {
		head.Settings[s.Name] = s.Value
	}
	return j.add(head)
}

// add keeps a record at once.
func (j *journal) add(record any) error {
	if j == nil || j.file == nil {
		return nil
	}
	line, err := json.Marshal(record)
	if err != nil {
		return err
	}
	_, err = j.file.Write(append(line, '\n'))
	return err
}

// complete gives the file the name of one that is whole.
func (j *journal) complete() error {
	if j == nil || j.file == nil {
		return nil
	}
	partial := j.file.Name()
	if err := j.close(); err != nil {
		return err
	}
	return os.Rename(partial, j.path)
}

// close leaves what was kept for a later run. It may be called again.
func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
