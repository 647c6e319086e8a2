package memstore

// index finds records by hash: a table of slots with linear probing, four bytes a place. What a record is looked up by
// stays in the record.
type index struct {
	places []uint32 // 0 where free; a power of two
	used   int
	hash   func(slot uint32) uint64
}

// find answers the record with this hash that same accepts, or 0.
func (x *index) find(hash uint64, same func(slot uint32) bool) uint32 {
	if len(x.places) == 0 {
		return 0
	}
	mask := len(x.places) - 1
	for i := int(hash) & mask; x.places[i] != 0; i = (i + 1) & mask {
		if same(x.places[i]) {
			return x.places[i]
		}
	}
	return 0
}

func (x *index) add(slot uint32) {
	if 4*(x.used+1) > 3*len(x.places) {
		old := x.places
		x.places = make([]uint32, max(64, 2*len(old)))
		for _, o := range old {
			if o != 0 {
				x.place(o)
			}
		}
	}
	x.place(slot)
	x.used++
}

func (x *index) place(slot uint32) {
	mask := len(x.places) - 1
	i := int(x.hash(slot)) & mask
	for x.places[i] != 0 {
		i = (i + 1) & mask
	}
	x.places[i] = slot
}

// remove takes out a record that is in the index. Those behind it move up, so that no marks of the removed stay behind
// and a table that has seen millions is as fast as a new one.
func (x *index) remove(slot uint32) {
	mask := len(x.places) - 1
	hole := int(x.hash(slot)) & mask
	for x.places[hole] != slot {
		hole = (hole + 1) & mask
	}
	for i := (hole + 1) & mask; x.places[i] != 0; i = (i + 1) & mask {
		home := int(x.hash(x.places[i])) & mask
		// It may move into the hole unless its home lies behind the hole.
		if (i-home)&mask >= (i-hole)&mask {
			x.places[hole] = x.places[i]
			hole = i
		}
	}
	x.places[hole] = 0
	x.used--
}

// queue orders records by the time at which they are over: a binary heap.
type queue struct {
	items []due
	moved func(slot uint32, place int) // tells a record where it stands
}

type due struct {
	at   int64 // microseconds since 1970
	slot uint32
}

// over answers a record that is over by now, the earliest, or 0.
func (q *queue) over(now int64) uint32 {
	if len(q.items) > 0 && q.items[0].at <= now {
		return q.items[0].slot
	}
	return 0
}

func (q *queue) push(at int64, slot uint32) {
	q.items = append(q.items, due{at, slot})
	q.up(len(q.items)-1, due{at, slot})
}

func (q *queue) remove(place int) {
	last := len(q.items) - 1
	moving := q.items[last]
	q.items = q.items[:last]
	if place == last {
		return
	}
	if place > 0 && moving.at < q.items[(place-1)/2].at {
		q.up(place, moving)
	} else {
		q.down(place, moving)
	}
}

func (q *queue) up(place int, item due) {
	for place > 0 {
		above := (place - 1) / 2
		if q.items[above].at <= item.at {
			break
		}
		q.set(place, q.items[above])
		place = above
	}
	q.set(place, item)
}

func (q *queue) down(place int, item due) {
	for {
		below := 2*place + 1
		if below >= len(q.items) {
			break
		}
		if right := below + 1; right < len(q.items) && q.items[right].at < q.items[below].at {
			below = right
		}
		if item.at <= q.items[below].at {
			break
		}
		q.set(place, q.items[below])
		place = below
	}
	q.set(place, item)
}

func (q *queue) set(place int, item due) {
	q.items[place] = item
	q.moved(item.slot, place)
}
