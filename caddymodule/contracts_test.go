package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/gateway"
)

// contractsOf provisions the part of a configuration that is about contracts.
func contractsOf(t *testing.T, o WalletOptions) (*App, *gateway.WalletConfig, error) {
	t.Helper()
	a, config := &App{Wallet: o}, new(gateway.WalletConfig)
	err := a.addContracts(config)
	return a, config, err
}

// A reload that leaves the endpoints as they are does not forget which of them fail; another configuration begins anew,
// and the last one that goes takes them along.
func TestContractsOutliveReloads(t *testing.T) {
	t.Setenv("TEST_RPC_KEY", "s3cret")
	o := WalletOptions{RPC: map[uint64][]string{1: {"https://rpc.example.com/{env.TEST_RPC_KEY}"}}}
	first, one, err := contractsOf(t, o)
	if err != nil {
		t.Fatal(err)
	}
	second, two, err := contractsOf(t, o)
	if err != nil || one.Contracts == nil || one.Contracts != two.Contracts {
		t.Fatalf("%v; the same: %v", err, one.Contracts == two.Contracts)
	}
	t.Setenv("TEST_RPC_KEY", "an0ther")
	third, three, err := contractsOf(t, o)
	if err != nil || three.Contracts == one.Contracts {
		t.Errorf("%v; another key is another endpoint", err)
	}
	for _, a := range []*App{first, second, third} {
		if err := a.giveBack(); err != nil {
			t.Error(err)
		}
	}
	pool.Range(func(key, _ any) bool {
		if k, is := key.(poolKey); is && k.kind == "contracts" {
			t.Errorf("%v is still there", k)
		}
		return true
	})
}

// Neither what a placeholder stands for nor the URL around it is told where it is wrong.
func TestContractsTellNoSecret(t *testing.T) {
	t.Setenv("TEST_RPC_URL", "http://rpc.example.com/s3cret")
	for name, url := range map[string]string{
		"value is http":  "{env.TEST_RPC_URL}",
		"empty":          "https://rpc.example.com/s3cret{env.TEST_RPC_MISSING}",
		"unknown":        "https://rpc.example.com/s3cret{nothing.such}",
		"file not there": "https://s3cret@rpc.example.com/{file./no/such/file}",
	} {
		_, _, err := contractsOf(t, WalletOptions{RPC: map[uint64][]string{1: {url}}})
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "chain 1, endpoint 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoContractsByDefault(t *testing.T) {
	if a, config, err := contractsOf(t, WalletOptions{}); err != nil || config.Contracts != nil || len(a.release) != 0 {
		t.Errorf("%v, %v", config.Contracts, err)
	}
	if err := new(App).addContracts(nil); err != nil { // wallets are off
		t.Error(err)
	}
	if _, _, err := contractsOf(t, WalletOptions{Factories: []string{"0x52908400098527886E0F7030069857D2E4169EE7"}}); err == nil {
		t.Error("a factory without a chain was taken")
	}
}
