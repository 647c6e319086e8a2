package memstore

// The bounded stores hold hundreds of thousands of small records. Records live in slabs and name each other by slot, a
// uint32, instead of by pointer: half the memory, and nothing for the garbage collector to look through. Slot 0 is nobody.

const pageSize = 1024

// slab is memory for records of one kind. It grows by pages, so that a record never moves and nothing is copied.
type slab[T any] struct {
	pages []*[pageSize]T
	next  uint32 // the slots below were given out once
	free  []uint32
	used  int
}

func (s *slab[T]) at(slot uint32) *T { return &s.pages[slot/pageSize][slot%pageSize] }

func (s *slab[T]) take() uint32 {
	s.used++
	if n := len(s.free); n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot
	}
	s.next = max(s.next, 1)
	if int(s.next/pageSize) == len(s.pages) {
		s.pages = append(s.pages, new([pageSize]T))
	}
	s.next++
	return s.next - 1
}

func (s *slab[T]) give(slot uint32) {
	var zero T
	*s.at(slot) = zero
	s.free = append(s.free, slot)
	s.used--
}

// link is a record's place in a list.
type link struct{ before, after uint32 }

// list is a chain of records in the order in which they came.
type list struct{ first, last uint32 }

func (l *list) push(slot uint32, links func(uint32) *link) {
	*links(slot) = link{before: l.last}
	if l.last != 0 {
		links(l.last).after = slot
	} else {
		l.first = slot
	}
	l.last = slot
}

func (l *list) remove(slot uint32, links func(uint32) *link) {
	own := *links(slot)
	if own.before != 0 {
		links(own.before).after = own.after
	} else {
		l.first = own.after
	}
	if own.after != 0 {
		links(own.after).before = own.before
	} else {
		l.last = own.before
	}
	*links(slot) = link{}
}

// ladder orders records by a small number, the rung they stand on, and finds who stands highest or lowest at once.
type ladder struct {
	rungs []list
	links func(uint32) *link
}

func (l *ladder) add(slot uint32, rung int) {
	for len(l.rungs) <= rung {
		l.rungs = append(l.rungs, list{})
	}
	l.rungs[rung].push(slot, l.links)
}

func (l *ladder) remove(slot uint32, rung int) {
	l.rungs[rung].remove(slot, l.links)
	l.trim()
}

// move takes a record from one rung to another. It is not remove and add: whoever stands alone on top of a high ladder
// would have it built anew at each step.
func (l *ladder) move(slot uint32, from, to int) {
	l.rungs[from].remove(slot, l.links)
	l.add(slot, to)
	l.trim()
}

// trim sees to it that somebody stands on the highest rung.
func (l *ladder) trim() {
	n := len(l.rungs)
	for n > 0 && l.rungs[n-1].first == 0 {
		n--
	}
	l.rungs = l.rungs[:n]
}

// highest answers who came last to the highest rung.
func (l *ladder) highest() uint32 {
	if n := len(l.rungs); n > 0 {
		return l.rungs[n-1].last
	}
	return 0
}

// lowest answers who came first to the lowest rung that somebody stands on.
func (l *ladder) lowest() (slot uint32) {
	for _, rung := range l.rungs {
		if rung.first != 0 {
			return rung.first
		}
	}
	return 0
}
