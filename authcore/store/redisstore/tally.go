package redisstore

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	// tallyWindow is about how long what a client asked for stays on the server.
	tallyWindow = 10 * time.Minute
	// tallyMax is of how many clients it is known what they asked for. When there are more, counting begins anew for all:
	// then it is not one client that fills the server, and nobody may be refused for it.
	tallyMax = 1 << 16
)

var tallySeed = maphash.MakeSeed()

// tally counts for how many challenges each client has asked this instance in the window. It costs the server nothing, and
// a flood that comes from everywhere does not make it refuse anybody.
type tally struct {
	most int

	mu      sync.Mutex
	ends    time.Time
	clients map[uint64]int
}

// add counts one more and reports whether the client may have it.
func (t *tally) add(client string, now time.Time) bool {
	name := maphash.String(tallySeed, client)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !now.Before(t.ends) || now.Before(t.ends.Add(-tallyWindow)) || len(t.clients) >= tallyMax && t.clients[name] == 0 {
		t.ends, t.clients = now.Add(tallyWindow), map[uint64]int{}
	}
	if t.clients[name] >= t.most {
		return false
	}
	t.clients[name]++
	return true
}
