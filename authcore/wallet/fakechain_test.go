package wallet

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// fakeChain is a JSON-RPC server with contracts that are functions.
type fakeChain struct {
	*httptest.Server
	mu        sync.Mutex
	id        uint64
	contracts map[Address]contract
	simulated contract // of a wallet that is deployed within a simulation; nil: the deployment fails
	instead   http.HandlerFunc
	asked     []string // methods
}

// contract is what a call to it returns, or its error as JSON.
type contract func(data []byte) (ret []byte, failed string)

var yes = append(isValidSignatureMagic[:], make([]byte, 28)...)

// says is a contract that returns the same to any call.
func says(ret []byte) contract {
	return func([]byte) ([]byte, string) { return ret, "" }
}

// fails is a contract whose calls end in an error.
func fails(code int, message string) contract {
	return func([]byte) ([]byte, string) {
		return nil, `{"code":` + strconv.Itoa(code) + `,"message":` + strconv.Quote(message) + `,"data":"0x"}`
	}
}

// signedBy is a contract wallet with one owner, who signed the hash with this.
func signedBy(hash [32]byte, signature []byte) contract {
	want := string(isValidSignatureCall(hash, signature))
	return func(data []byte) ([]byte, string) {
		if string(data) != want {
			return make([]byte, 32), ""
		}
		return yes, ""
	}
}

func newFakeChain(tb testing.TB, id uint64) *fakeChain {
	tb.Helper()
	f := &fakeChain{id: id, contracts: make(map[Address]contract)}
	f.Server = httptest.NewServer(f)
	tb.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

func (f *fakeChain) deploy(a Address, c contract) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.contracts[a] = c; c == nil {
		delete(f.contracts, a)
	}
}

// hostile has another handler answer from now on; nil: the chain again.
func (f *fakeChain) hostile(h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instead = h
}

// questions answers the methods that were asked since the last time.
func (f *fakeChain) questions() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

type fakeRequest struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
}

type fakeTransaction struct {
	From, To, Data, Gas string
}

func (f *fakeChain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Only with its body read does the context of a request end with its connection.
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	instead := f.instead
	f.mu.Unlock()
	if instead != nil {
		instead(w, r)
		return
	}
	var batch []fakeRequest
	if err := json.Unmarshal(body, &batch); err != nil {
		http.Error(w, "no batch", http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []byte("[")
	for i, q := range batch {
		f.asked = append(f.asked, q.Method)
		if i > 0 {
			out = append(out, ',')
		}
		result, failed := f.answer(q)
		out = append(out, `{"jsonrpc":"2.0","id":`+string(q.ID)...)
		if failed != "" {
			out = append(out, `,"error":`+failed+`}`...)
		} else {
			out = append(out, `,"result":`+result+`}`...)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(out, ']'))
}

func (f *fakeChain) answer(q fakeRequest) (result, failed string) {
	switch q.Method {
	case "eth_chainId":
		return `"0x` + strconv.FormatUint(f.id, 16) + `"`, ""
	case "eth_getCode":
		if f.contracts[addressIn(q.Params[0])] == nil {
			return `"0x"`, ""
		}
		return `"0x60016002"`, ""
	case "eth_call":
		var tx fakeTransaction
		_ = json.Unmarshal(q.Params[0], &tx)
		ret, failed := f.call(tx)
		return `"0x` + hex.EncodeToString(ret) + `"`, failed
	case "eth_simulateV1":
		if f.simulated == nil {
			return "", `{"code":-32601,"message":"the method eth_simulateV1 does not exist/is not available"}`
		}
		var s struct {
			BlockStateCalls []struct{ Calls []fakeTransaction }
		}
		_ = json.Unmarshal(q.Params[0], &s)
		status := "0x1"
		made, failed := f.call(s.BlockStateCalls[0].Calls[0])
		if failed != "" {
			status = "0x0"
		}
		ret, _ := f.simulated(unhex(s.BlockStateCalls[0].Calls[1].Data))
		return `[{"number":"0x2","calls":[{"status":"` + status + `","returnData":"0x` + hex.EncodeToString(made) + `","logs":[]},{"status":"0x1","returnData":"0x` +
			hex.EncodeToString(ret) + `"}]}]`, ""
	}
	return "", `{"code":-32601,"message":"no such method"}`
}

func (f *fakeChain) call(tx fakeTransaction) (ret []byte, failed string) {
	c := f.contracts[Address(unhex(tx.To))]
	if c == nil {
		return nil, ""
	}
	return c(unhex(tx.Data))
}

func addressIn(raw json.RawMessage) Address {
	var s string
	_ = json.Unmarshal(raw, &s)
	return Address(unhex(s))
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s[2:])
	if err != nil {
		panic(err)
	}
	return b
}

// testContracts asks these servers, all of chain 10, and gives up soon.
func testContracts(tb testing.TB, change func(*ContractsConfig), servers ...*fakeChain) *Contracts {
	tb.Helper()
	c := ContractsConfig{Chains: map[uint64][]string{}, Timeout: 10 * time.Second}
	for _, s := range servers {
		c.Chains[10] = append(c.Chains[10], s.URL)
	}
	if change != nil {
		change(&c)
	}
	k, err := NewContracts(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(k.Close)
	return k
}
