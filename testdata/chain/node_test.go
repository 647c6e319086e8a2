package chain

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log"
	"maps"
	"math/big"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/ethclient/simulated"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"
)

// chainID is that of the vectors.
const chainID = 31337

// deployer sent the transactions of the vectors: addresses depend on who deploys, and in which order.
const deployer = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"

// chain is a node of go-ethereum, alone in the world.
type chain struct {
	url     string
	backend *simulated.Backend
	key     *ecdsa.PrivateKey // of the account that pays for everything

	mu    sync.Mutex
	nonce uint64
}

// newChain starts a node that knows alloc from its first block on.
func newChain(alloc types.GenesisAlloc) (*chain, error) {
	key, err := crypto.HexToECDSA(deployer)
	if err != nil {
		return nil, err
	}
	alloc = maps.Clone(alloc)
	if alloc == nil {
		alloc = types.GenesisAlloc{}
	}
	alloc[crypto.PubkeyToAddress(key.PublicKey)] = types.Account{Balance: new(big.Int).Mul(big.NewInt(1e6), big.NewInt(params.Ether))}

	// The node does not tell which port it was given.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return nil, err
	}
	backend := simulated.NewBackend(alloc, func(n *node.Config, e *ethconfig.Config) {
		n.HTTPHost, n.HTTPPort, n.HTTPModules = "127.0.0.1", port, []string{"eth"}
		config := *e.Genesis.Config
		config.ChainID = big.NewInt(chainID)
		e.Genesis.Config, e.NetworkId = &config, chainID
	})
	return &chain{url: fmt.Sprintf("http://127.0.0.1:%d", port), backend: backend, key: key}, nil
}

// send has a transaction go into a block of its own, and answers its receipt.
func (c *chain) send(to *common.Address, data []byte, delegations ...types.SetCodeAuthorization) (*types.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	const gas, price = 12_000_000, 20 * params.GWei
	var tx types.TxData = &types.DynamicFeeTx{
		ChainID: big.NewInt(chainID), Nonce: c.nonce, GasTipCap: big.NewInt(params.GWei), GasFeeCap: big.NewInt(price),
		Gas: gas, To: to, Data: data,
	}
	if len(delegations) > 0 {
		tx = &types.SetCodeTx{
			ChainID: uint256.NewInt(chainID), Nonce: c.nonce, GasTipCap: uint256.NewInt(params.GWei), GasFeeCap: uint256.NewInt(price),
			Gas: gas, To: *to, Data: data, AuthList: delegations,
		}
	}
	signed, err := types.SignNewTx(c.key, types.LatestSignerForChainID(big.NewInt(chainID)), tx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.backend.Client().SendTransaction(ctx, signed); err != nil {
		return nil, err
	}
	c.nonce++
	c.backend.Commit()
	receipt, err := c.backend.Client().TransactionReceipt(ctx, signed.Hash())
	if err != nil {
		return nil, err
	}
	if receipt.Status != types.ReceiptStatusSuccessful {
		return nil, errors.New("the transaction failed")
	}
	return receipt, nil
}

// deploy answers the address of a new contract.
func (c *chain) deploy(code []byte) (common.Address, error) {
	receipt, err := c.send(nil, code)
	if err != nil {
		return common.Address{}, err
	}
	return receipt.ContractAddress, nil
}

// delegate has the account of a key run the code of another (EIP-7702), and calls it with data where there is some.
func (c *chain) delegate(key *ecdsa.PrivateKey, code common.Address, data []byte) error {
	account := crypto.PubkeyToAddress(key.PublicKey)
	nonce, err := c.backend.Client().NonceAt(context.Background(), account, nil)
	if err != nil {
		return err
	}
	signed, err := types.SignSetCode(key, types.SetCodeAuthorization{ChainID: *uint256.NewInt(chainID), Address: code, Nonce: nonce})
	if err != nil {
		return err
	}
	to := account
	if data == nil {
		to = address(c.key) // the account's code might refuse to be called
	}
	_, err = c.send(&to, data, signed)
	return err
}

// shared is the chain of all tests, which is started by the first that needs it.
var (
	shared  = sync.OnceValues(newWorld)
	started atomic.Bool
)

func theWorld(tb testing.TB) *world {
	tb.Helper()
	if _, err := os.Stat(vectors); errors.Is(err, os.ErrNotExist) {
		tb.Skip("../shared/vectors is not there")
	}
	started.Store(true)
	w, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

func TestMain(m *testing.M) {
	code := m.Run()
	if started.Load() {
		if w, err := shared(); err == nil {
			if err := w.backend.Close(); err != nil {
				log.Print(err)
			}
		}
	}
	os.Exit(code)
}
