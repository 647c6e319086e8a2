package gateway

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// chain is a JSON-RPC server of chain 10 with wallets that are contracts, each with one owner.
type chain struct {
	*httptest.Server
	mu      sync.Mutex
	owners  map[string]signer // by the address of the contract, in lower case
	instead http.HandlerFunc
	asked   int // requests
}

func newChain(t testing.TB) *chain {
	t.Helper()
	c := &chain{owners: make(map[string]signer)}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// own gives a contract an owner.
func (c *chain) own(contract string, owner signer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owners[strings.ToLower(contract)] = owner
}

// as has another handler answer from now on; nil: the chain again.
func (c *chain) as(h http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instead = h
}

// questions answers how many requests there were since the last time.
func (c *chain) questions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.asked
	c.asked = 0
	return n
}

func (c *chain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.asked++
	instead := c.instead
	c.mu.Unlock()
	if instead != nil {
		instead(w, r)
		return
	}
	var batch []struct {
		ID     json.RawMessage
		Method string
		Params []json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		http.Error(w, "no batch", http.StatusBadRequest)
		return
	}
	var answers []string
	for _, q := range batch {
		result := "0xa" // of eth_chainId
		switch q.Method {
		case "eth_getCode":
			result = "0x"
			var address string
			_ = json.Unmarshal(q.Params[0], &address)
			c.mu.Lock()
			if _, is := c.owners[strings.ToLower(address)]; is {
				result = "0x6001"
			}
			c.mu.Unlock()
		case "eth_call":
			var call struct{ To, Data string }
			_ = json.Unmarshal(q.Params[0], &call)
			result = c.call(call.To, call.Data)
		}
		answers = append(answers, fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%q}`, q.ID, result))
	}
	fmt.Fprintf(w, "[%s]", strings.Join(answers, ","))
}

// call is isValidSignature(bytes32,bytes) with a signature of the owner: selector, hash, offset, length and 65 bytes.
func (c *chain) call(to, data string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	owner, is := c.owners[strings.ToLower(to)]
	b, err := hex.DecodeString(strings.TrimPrefix(data, "0x"))
	if !is || err != nil {
		return "0x"
	}
	if len(b) == 4+3*32+96 {
		sig := append([]byte(nil), b[100:165]...)
		sig[64] -= 27
		if key, err := crypto.SigToPub(b[4:36], sig); err == nil && crypto.PubkeyToAddress(*key).Hex() == owner.address() {
			return "0x1626ba7e" + strings.Repeat("0", 56)
		}
	}
	return "0x" + strings.Repeat("0", 64)
}

const (
	safe      = "0x5aFE00000000000000000000000000000000beEf"
	otherSafe = "0xCafe00000000000000000000000000000000BEef"
)

// withChain lets contract wallets of chain 10 sign in.
func withChain(t testing.TB, c *chain) func(*RealmConfig, *Site) {
	return func(r *RealmConfig, _ *Site) {
		contracts, err := wallet.NewContracts(wallet.ContractsConfig{
			Chains: map[uint64][]string{10: {c.URL}}, Timeout: 20 * time.Second, Now: r.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(contracts.Close)
		r.Wallet.Contracts = contracts
	}
}

// presentContract goes through both steps of signing in with a contract wallet on chain 10.
func (h *house) presentContract(contract string, owner signer, more string, headers ...string) answer {
	h.t.Helper()
	message := h.contractChallenge("", contract, headers...)
	return h.do("POST", "challenge/sign", solution(owner, message, more), headers...)
}

// contractChallenge asks for a message; before is "" or "step-up/".
func (h *house) contractChallenge(before, contract string, headers ...string) string {
	h.t.Helper()
	var asked struct{ ChallengeMessage string }
	h.do("POST", before+"challenge/create", fmt.Sprintf(`{"address":%q,"chainId":10}`, strings.ToLower(contract)), headers...).ok(&asked)
	return asked.ChallengeMessage
}

// contractCookie signs in with a contract wallet as browsers do.
func (h *house) contractCookie(contract string, owner signer) []string {
	h.t.Helper()
	pair, _ := h.presentContract(contract, owner, `,"session":"cookie"`).ok(new(signedInView)).cookie()
	return []string{"Cookie", pair}
}
