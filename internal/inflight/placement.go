package inflight

import (
	"errors"
	"fmt"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// placement is what a running sequence holds: the first computed of its tokens have
// their keys and values in the blocks of table.
type placement struct {
	table    []int32
	computed int
	chain    chain     // the blocks at the beginning of table that can be found
	promise  *promise  // nil: it does not run
	slot     int       // recurrent state slot
	donor    *sequence // whose prompt this one takes over once it is computed
	context  int       // how many tokens it had when it was placed: the first to be computed
}

// blockCounts are the blocks that a sequence needed so far.
type blockCounts struct {
	taken, fresh   int // all, and of them those that were taken to be filled
	reused, missed int // full blocks of the prompt that were there, and that were not
}

// promise is a number of blocks that are reserved for a sequence, or for all beams of
// a request, and not yet taken.
type promise struct {
	blocks  int
	holders int
}

// prefix is what the KV cache has of a sequence's tokens.
type prefix struct {
	blocks []int32 // full ones
	chain  chain   // that they make
	part   int32   // a block from which the next partLen tokens can be copied, or noBlock
	tokens int     // in blocks and part
}

// needsPrompt tells whether prompt tokens have to be computed, for what is said
// about them.
func (q *sequence) needsPrompt() bool { return q.wantsPromptRow(len(q.InputIDs) - 1) }

// reach is how many of a sequence's tokens it may take over: all but the last, which is
// computed to get the logits after it, or those before the first whose row is asked for.
func (q *sequence) reach() int {
	if q.needsPrompt() {
		return q.prompt.taken
	}
	return len(q.tokens) - 1
}

// lookUp finds out what is there of the tokens that a sequence may take over. Recurrent
// state cannot be taken over, and a block that may stand in one table only cannot be
// shared: there is no reuse then. The result holds until the next call.
func (s *scheduler) lookUp(q *sequence) prefix {
	found := prefix{part: noBlock}
	if !s.reuse {
		return found
	}
	found.chain = s.cache.root(q.CacheSalt)
	limit, size := q.reach(), s.cache.size
	found.blocks = s.found[:0]
	for found.tokens+size <= limit {
		b, longer := s.cache.find(found.chain, q.tokens[found.tokens:found.tokens+size])
		if b == noBlock {
			break
		}
		found.blocks, found.chain = append(found.blocks, b), longer
		found.tokens += size
	}
	s.found = found.blocks
	if !s.e.options.NoPartialReuse {
		var n int
		found.part, n = s.cache.nearest(found.chain, q.tokens[found.tokens:min(limit, found.tokens+size)])
		found.tokens += n
	}
	return found
}

// place gives a sequence what it needs to run, if that is there. An error is that of
// a copy; the sequence is placed then and has to be released.
func (s *scheduler) place(q *sequence) (bool, error) {
	found := s.lookUp(q)
	donor := s.donorOf(q)
	if donor != nil && found.tokens < len(q.InputIDs)-1 {
		found = prefix{part: noBlock}
	} else {
		donor = nil
	}
	need, room := s.need(q, donor), s.room()
	unused := 0
	for _, b := range found.blocks {
		if s.cache.blocks[b].refs == 0 {
			unused++
		}
	}
	need -= len(found.blocks) - unused
	if need > room {
		return false, nil
	}
	if found.part != noBlock && s.cache.blocks[found.part].refs == 0 && need == room {
		found.tokens, found.part = len(found.blocks)*s.cache.size, noBlock // no room to copy from it
	}
	for _, b := range found.blocks {
		s.cache.hold(b)
	}
	s.cache.reserve(need - unused)
	q.placement = placement{
		table: append(q.table[:0], found.blocks...), computed: len(found.blocks) * s.cache.size, chain: found.chain,
		promise: &promise{blocks: need - unused, holders: 1}, donor: donor, context: len(q.tokens),
	}
	if last := len(s.slots) - 1; last >= 0 {
		q.slot, s.slots = s.slots[last], s.slots[:last]
	}
	for _, beam := range q.together()[1:] {
		beam.placement = placement{table: beam.table[:0], promise: q.promise, donor: q, context: len(beam.tokens)}
		q.promise.holders++
	}
	s.reused(q, len(found.blocks), q.computed)
	return true, s.copyPart(q, found)
}

// copyPart copies the part of a block that is as q goes on.
func (s *scheduler) copyPart(q *sequence, found prefix) error {
	if found.part == noBlock {
		return nil
	}
	n := found.tokens - q.computed
	s.cache.hold(found.part)
	defer s.cache.drop(found.part)
	if err := s.copyBlock(q, found.part, n); err != nil {
		return err
	}
	q.computed += n
	s.reused(q, 0, n)
	return nil
}

// copyBlock adds a block to q's table with n tokens of block b.
func (s *scheduler) copyBlock(q *sequence, b int32, n int) error {
	own := s.take(q)
	q.table = append(q.table, own)
	return s.copy(b, own, n)
}

// errCopying says that a copy failed, not a step: what is in the KV cache is right.
var errCopying = errors.New("copying KV block")

func (s *scheduler) copy(from, to int32, n int) error {
	if err := s.e.runner.CopyBlock(int(from), int(to), n); err != nil {
		return fmt.Errorf("%w: %w %d to %d: %w", executor.ErrFailed, errCopying, from, to, err)
	}
	return nil
}

// donorOf finds a running sequence of the same request that computes the prompt
// which q can take over. There is no way to copy recurrent state.
func (s *scheduler) donorOf(q *sequence) *sequence {
	if s.e.limits.StateSlots > 0 || len(q.InputIDs) < 2 {
		return nil
	}
	for _, a := range s.active {
		if a.request == q.request && a.donor == nil {
			return a
		}
	}
	return nil
}

// takePrompt gives q the keys and values of its donor's prompt, all but those of
// the last token: q computes that one itself, to get the logits after it.
func (s *scheduler) takePrompt(q *sequence) error {
	donor, n, size := q.donor, len(q.InputIDs)-1, s.cache.size
	q.donor = nil
	full := 0
	if s.e.limits.SharedBlocks {
		full = n / size
	}
	for _, b := range donor.table[:full] {
		s.cache.hold(b)
		q.table = append(q.table, b)
	}
	if s.reuse {
		q.chain = s.cache.root(q.CacheSalt)
		if full > 0 {
			q.chain = s.cache.upTo(q.CacheSalt, donor.table[full-1], full)
		}
	}
	for i := full; i*size < n; i++ {
		if err := s.copyBlock(q, donor.table[i], min(size, n-i*size)); err != nil {
			return err
		}
	}
	q.computed = n
	s.reused(q, full, n)
	return nil
}

// extend takes over blocks that others have computed since q was placed.
func (s *scheduler) extend(q *sequence) {
	size := s.cache.size
	for q.chain.open && q.computed == q.chain.blocks*size && q.computed+size <= q.reach() {
		b, longer := s.cache.find(q.chain, q.tokens[q.computed:q.computed+size])
		if b == noBlock {
			return
		}
		s.cache.hold(b)
		if i := q.chain.blocks; i < len(q.table) { // a step that was aborted has it already
			s.cache.drop(q.table[i])
			q.table[i] = b
		} else {
			q.table = append(q.table, b)
			s.unpromise(q, 1)
		}
		q.chain = longer
		q.computed += size
		s.reused(q, 1, size)
	}
}

// comes tells whether q should wait for its next block, for a sequence before it in the
// step computes the same one. Otherwise it notes that q computes it.
func (s *scheduler) comes(q *sequence) bool {
	start := q.chain.blocks * s.cache.size
	if !q.chain.open || start+s.cache.size >= len(q.tokens) {
		return false
	}
	hash := s.cache.hash(q.chain.hash, q.tokens[start:start+s.cache.size])
	if s.coming[hash] && q.computed == start && start+s.cache.size <= q.reach() {
		return true
	}
	s.coming[hash] = true
	return false
}

// take takes a block for q, a promised one while there are any.
func (s *scheduler) take(q *sequence) int32 {
	s.unpromise(q, 1)
	s.takenBlocks++
	s.newBlocks++
	q.blocks.taken++
	q.blocks.fresh++
	return s.cache.take()
}

// unpromise takes up to n blocks off q's promise.
func (s *scheduler) unpromise(q *sequence, n int) {
	n = min(n, q.promise.blocks)
	q.promise.blocks -= n
	s.cache.unreserve(n)
}

// grow makes the blocks of q's table that its next n tokens are written to: new ones,
// and a copy of one that other beams hold as well.
func (s *scheduler) grow(q *sequence, n int) error {
	if written := q.computed % s.cache.size; written > 0 && s.cache.shared(q.table[q.computed/s.cache.size]) {
		i := q.computed / s.cache.size
		from, own := q.table[i], s.take(q)
		q.table[i] = own
		s.drop(q, from)
		if err := s.copy(from, own, written); err != nil {
			return err
		}
	}
	for len(q.table)*s.cache.size < q.computed+n {
		if full := (len(q.table) + 1) * s.cache.size; s.reuse && full <= len(q.InputIDs) {
			s.missedBlocks++
			q.blocks.missed++
		}
		q.table = append(q.table, s.take(q))
	}
	return nil
}

// publish makes the full blocks of q's first n tokens findable.
func (s *scheduler) publish(q *sequence, n int) {
	size := s.cache.size
	for q.chain.open && (q.chain.blocks+1)*size <= n {
		i := q.chain.blocks
		q.table[i] = s.cache.publish(&q.chain, q.tokens[i*size:(i+1)*size], q.table[i])
	}
}

// release takes back all that a sequence holds. What it computed can be found from
// now on, its last block too.
func (s *scheduler) release(q *sequence) {
	if q.promise == nil {
		return
	}
	s.publish(q, q.computed)
	if start := q.chain.blocks * s.cache.size; q.chain.open && q.computed > start && !s.e.options.NoPartialReuse {
		s.cache.publishPart(q.chain, q.tokens[start:q.computed], q.table[q.chain.blocks])
	}
	s.free(q)
}

// free takes back all that a sequence holds.
func (s *scheduler) free(q *sequence) {
	if q.promise == nil {
		return
	}
	q.promise.holders--
	for _, b := range slices.Backward(q.table) {
		s.drop(q, b)
	}
	if q.promise.holders == 0 {
		s.cache.unreserve(q.promise.blocks)
	}
	if s.e.limits.StateSlots > 0 {
		s.slots = append(s.slots, q.slot)
	}
	q.placement = placement{table: q.table[:0]}
}

// drop gives back a block that q held. While beams of its request go on, under a
// promise of all that they need, it is promised to them again.
func (s *scheduler) drop(q *sequence, b int32) {
	if s.cache.drop(b) && q.promise.holders > 0 && s.e.options.Policy == executor.GuaranteedNoEvict {
		q.promise.blocks++
		s.cache.reserved++
	}
}

// forget makes what a sequence computed unfindable, for it may be wrong.
func (s *scheduler) forget(q *sequence) {
	for _, b := range q.table {
		s.cache.forget(b)
	}
}

// reused counts blocks and tokens that q took over.
func (s *scheduler) reused(q *sequence, blocks, tokens int) {
	s.reusedBlocks += uint64(blocks)
	s.takenBlocks += uint64(blocks)
	q.blocks.taken += blocks
	q.blocks.reused += blocks
	s.reusedTokens += uint64(tokens)
	q.cache.ReusedTokens += tokens
}
