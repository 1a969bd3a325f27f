package benchrun

import (
	"fmt"

	"github.com/trtgo/trtgo/internal/benchdoc"
)

// quietCores is how much of a core other programs may take of a measurement.
const quietCores = 0.1

// Quiet keeps measurements from the times at which other programs are busy: one that is
// disturbed is taken again, so often at most; of all tries the least disturbed one counts.
type Quiet struct {
	Tries     int
	Say       func(format string, a ...any)
	disturbed []float64 // cores that others took during measurements that count
}

// Quietly measures until the machine is quiet.
func Quietly[T any](q *Quiet, name string, measure func() (T, error)) (T, error) {
	return leastDisturbed(q, name, func() (T, float64, error) {
		load := benchdoc.BeginLoad()
		t, err := measure()
		return t, load.Others(), err
	})
}

// leastDisturbed is Quietly with a measure that tells the cores of others too.
func leastDisturbed[T any](q *Quiet, name string, measure func() (T, float64, error)) (best T, err error) {
	least := 0.0
	for try := range q.Tries {
		t, others, err := measure()
		if err != nil {
			return best, err
		}
		if try == 0 || others < least {
			best, least = t, others
		}
		if least <= quietCores {
			return best, nil
		}
		q.Say("%s: other programs took %.1f cores", name, others)
	}
	q.disturbed = append(q.disturbed, least)
	return best, nil
}

// Text tells how well it worked.
func (q *Quiet) Text() string {
	if len(q.disturbed) == 0 {
		return fmt.Sprintf("during no measurement more than %.1f", quietCores)
	}
	return fmt.Sprintf("during %d measurements more than %.1f, up to %.1f, in the quietest of %d tries", len(q.disturbed), quietCores, benchdoc.SpreadOf(q.disturbed).Most, q.Tries)
}
