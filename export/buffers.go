package export

import "github.com/trtgo/trtgo/internal/floatformat"

// blockRows is how many rows of the job one worker takes at a time.
func (j *job) blockRows() int64 { return min(max(1, blockBytes/(j.cols*4)), j.Shape[0]) }

// held is the bytes of the worker's buffers, which are never made smaller.
func (c *copier) held() int64 {
	return int64(cap(c.read) + 4*cap(c.values) + cap(c.converted) + cap(c.columns))
}

// peakBytes is the most that held can become when one worker copies all jobs.
func peakBytes(jobs []job) int64 {
	var read, values, converted, columns int64
	for i := range jobs {
		j := &jobs[i]
		if j.from.Rows == nil {
			continue
		}
		rows := j.blockRows()
		n := rows * j.cols
		read = max(read, n*width(j.from.Dtype))
		if j.codes == nil && j.from.Dtype != j.Dtype {
			values = max(values, 4*n)
			converted = max(converted, n*width(j.Dtype))
		}
		for _, at := range j.Placements {
			if at.Columns < j.cols {
				columns = max(columns, min(rows, at.Rows)*at.Columns*width(j.Dtype))
			}
		}
	}
	return read + values + converted + columns
}

// width is the bytes of a value in the dtype.
func width(dtype string) int64 {
	if n := floatformat.Size(dtype); n > 0 {
		return int64(n)
	}
	return 1 // E4M3, and pairs of 4 bits
}
