package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// addContracts adds to the configuration of wallets what asks chains about contracts, which connects to nothing by
// itself. It is one for as long as the endpoints stay the same, so that a reload does not forget which of them fail.
func (a *App) addContracts(config *gateway.WalletConfig) error {
	if config == nil || len(a.Wallet.RPC) == 0 && len(a.Wallet.Factories) == 0 {
		return nil
	}
	if err := a.checkFactories(); err != nil {
		return err
	}
	c := wallet.ContractsConfig{Chains: make(map[uint64][]string), Proxy: a.Wallet.RPCProxy, Observer: counted.rpc}
	for chain, urls := range a.Wallet.RPC {
		for i, text := range urls {
			url, err := expand(text)
			if err != nil {
				// Not the error itself, in which the URL could stand.
				return fmt.Errorf("wallet: rpc: chain %d, endpoint %d: a placeholder in it is empty or not known", chain, i+1)
			}
			c.Chains[chain] = append(c.Chains[chain], strings.TrimSpace(url)) // files end in a line feed
		}
	}
	var err error
	if c.Factories, err = a.factories(); err != nil {
		return err
	}
	name, err := json.Marshal([]any{c.Chains, c.Factories, c.Proxy})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(name) // secrets stand in it
	key := poolKey{"contracts", hex.EncodeToString(sum[:])}
	made, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		contracts, err := wallet.NewContracts(c)
		return pooledContracts{contracts}, err
	})
	if err != nil {
		return err
	}
	a.released(key)
	config.Contracts = made.(pooledContracts).Contracts
	return nil
}

// pooledContracts are closed when no configuration uses them any more.
type pooledContracts struct{ *wallet.Contracts }

// Destruct implements caddy.Destructor.
func (p pooledContracts) Destruct() error {
	p.Close()
	return nil
}

// dryContracts checks the options as far as that can be done before placeholders have their values. What it makes is
// asked nothing.
func (a *App) dryContracts() (*wallet.Contracts, error) {
	c := wallet.ContractsConfig{Chains: make(map[uint64][]string)}
	for chain, urls := range a.Wallet.RPC {
		for i, url := range urls {
			if strings.Contains(url, "{") {
				url = "https://placeholder.invalid/" + strconv.Itoa(i)
			}
			c.Chains[chain] = append(c.Chains[chain], url)
		}
	}
	a.askAll(c.Chains)
	var err error
	if c.Factories, err = a.factories(); err != nil {
		return nil, err
	}
	return wallet.NewContracts(c)
}

// checkFactories reports factories without a chain.
func (a *App) checkFactories() error {
	if len(a.Wallet.Factories) > 0 && len(a.Wallet.RPC) == 0 {
		return errors.New("wallet: factory: no chain is asked about its wallets; write rpc <chain-id> <url>... too")
	}
	return nil
}

func (a *App) factories() (all []wallet.Address, err error) {
	for _, text := range a.Wallet.Factories {
		f, err := wallet.ParseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("wallet: factory: %q: %w", text, err)
		}
		all = append(all, f)
	}
	return all, nil
}

// parseRPC reads rpc <chain-id> <url>... The arguments stand in no error: a URL is there where the chain id was forgotten,
// and may carry a secret.
func (a *App) parseRPC(d *caddyfile.Dispenser, args []string) error {
	chain, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil || chain == 0 {
		return d.Errf("rpc begins with no chain id; write for example: rpc 1 https://rpc.example.com {env.RPC_URL}")
	}
	if a.Wallet.RPC[chain] != nil {
		return d.Errf("rpc %d stands twice; write all its URLs on one line", chain)
	}
	if a.Wallet.RPC == nil {
		a.Wallet.RPC = make(map[uint64][]string)
	}
	a.Wallet.RPC[chain] = args[1:]
	return nil
}

func (a *App) parseFactories(_ *caddyfile.Dispenser, args []string) error {
	a.Wallet.Factories = append(a.Wallet.Factories, args...)
	return nil
}

func (a *App) parseRPCProxy(d *caddyfile.Dispenser, args []string) error {
	switch args[0] {
	case "environment":
		a.Wallet.RPCProxy = true
	case "off":
	default:
		return d.Errf("unknown %q; write: rpc_proxy environment | off", args[0])
	}
	return nil
}
