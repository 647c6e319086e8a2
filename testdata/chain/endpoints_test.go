package chain

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// liar is an endpoint that answers as the chain does, and turns yes and no of ERC-1271 round.
func (w *world) liar(tb testing.TB) string {
	tb.Helper()
	target, err := url.Parse(w.url)
	if err != nil {
		tb.Fatal(err)
	}
	zeros := strings.Repeat("0", 56)
	turn := strings.NewReplacer("0x1626ba7e"+zeros, "0xffffffff"+zeros, "0xffffffff"+zeros, "0x1626ba7e"+zeros)
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("Accept-Encoding", "identity")
		},
		ModifyResponse: func(r *http.Response) error {
			said, err := io.ReadAll(r.Body)
			if err := errors.Join(err, r.Body.Close()); err != nil {
				return err
			}
			r.Body = io.NopCloser(strings.NewReader(turn.Replace(string(said))))
			return nil
		},
	})
	tb.Cleanup(server.Close)
	return server.URL
}

// TestOneOfTheEndpointsLies: one provider alone, or who broke into it, signs nobody in where there are two; and keeps nobody
// out where there are three.
func TestOneOfTheEndpointsLies(t *testing.T) {
	w := theWorld(t)
	again := strings.Replace(w.url, "127.0.0.1", "localhost", 1)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, tt := range []struct {
		name            string
		endpoints       []string
		owner, stranger error // nil: signed in
	}{
		{"it is alone", []string{w.liar(t)}, wallet.ErrInvalidSignature, nil},
		{"it is one of two", []string{w.liar(t), w.url}, wallet.ErrRPCUnavailable, wallet.ErrRPCUnavailable},
		{"it is the second one of two", []string{w.url, w.liar(t)}, wallet.ErrRPCUnavailable, wallet.ErrRPCUnavailable},
		{"it is one of three", []string{w.url, w.liar(t), again}, nil, wallet.ErrInvalidSignature},
		{"both are honest", []string{w.url, again}, nil, wallet.ErrInvalidSignature},
		{"the first one is down", []string{gone.URL, w.url, again}, nil, wallet.ErrInvalidSignature},
		// Whoever keeps one from answering does not make the other one decide alone.
		{"one of two is down", []string{gone.URL, w.url}, wallet.ErrRPCUnavailable, wallet.ErrRPCUnavailable},
		{"an honest one is down, and the liar is left", []string{gone.URL, w.liar(t)}, wallet.ErrRPCUnavailable, wallet.ErrRPCUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			contracts, err := wallet.NewContracts(wallet.ContractsConfig{Chains: map[uint64][]string{chainID: tt.endpoints}, Timeout: patience})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(contracts.Close)
			message, hash := asks(t, w.at["OwnerWallet"], chainID)
			if _, err := signIn(t.Context(), contracts, message, hex(sign(hash, w.owner))); !errors.Is(err, tt.owner) {
				t.Errorf("owner: %v", err)
			}
			if _, err := signIn(t.Context(), contracts, message, hex(sign(hash, w.other))); !errors.Is(err, tt.stranger) {
				t.Errorf("stranger: %v", err)
			}
		})
	}
}
