package endtoend

import (
	"crypto/sha256"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long what must happen within limit may take where the machine has much else to do: the fleet tests run
// several servers and processes at once. It is the longer the slower the machine was seen to be. AUTHGATE_STRICT=1 holds
// them to the limits as they are written.
func patience(limit time.Duration) time.Duration {
	if os.Getenv("AUTHGATE_STRICT") != "" {
		return limit
	}
	pulse.begin.Do(takePulse)
	slower := float64(pulse.worst.Load()) / float64(5*time.Millisecond) // what a pulse may take where there is nothing else to do
	return time.Duration(3 * min(max(1, slower), 20) * float64(limit))
}

// pulse is how long a short sleep and some work took at worst since the first time that somebody had to be patient.
var pulse struct {
	begin sync.Once
	worst atomic.Int64
}

func takePulse() {
	work := make([]byte, 256<<10)
	measure := func() {
		began := time.Now()
		time.Sleep(2 * time.Millisecond)
		sha256.Sum256(work)
		pulse.worst.Store(max(pulse.worst.Load(), int64(time.Since(began))))
	}
	for range 5 {
		measure()
	}
	go func() {
		for range time.Tick(100 * time.Millisecond) {
			measure()
		}
	}()
}
