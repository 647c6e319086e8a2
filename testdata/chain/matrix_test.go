package chain

import (
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// decided says how we decide where the vectors leave it open.
var decided = map[string]bool{
	// Of an answer that is not exactly one word nothing is believed.
	"1271 BombWallet (1 MiB return)": false,
	// Whoever delegates their account to code lets that code say who may sign. The account is then one of its chain, and
	// not the plain key's.
	"7702 session key: other key":  true,
	"7702 yes-delegate: other key": true,
	// The factory of the call is not listed. Of one that is: TestFactoryDeploysAnotherWalletByTheWay.
	"6492 PREPARE ATTACK on undeployed wallet (deploy+buy)": false,
}

func TestShapesOfTheVectors(t *testing.T) {
	w := theWorld(t)
	contracts := w.contracts(t)
	if len(w.shapes) < 32 {
		t.Fatalf("%d shapes only", len(w.shapes))
	}
	plain := map[string]bool{"eoa good": true, "eoa v 0/1": true}
	for _, s := range w.shapes {
		t.Run(s.Name, func(t *testing.T) {
			want, told := decided[s.Name]
			switch string(s.Expect) {
			case "true", "false":
				want = string(s.Expect) == "true"
			default:
				if !told {
					t.Fatalf("nobody decided what to make of %s", s.Expect)
				}
			}
			account, err := signIn(t.Context(), contracts, s.Message, s.Signature)
			if !want {
				refused(t, err)
				return
			}
			chain := uint64(chainID)
			if plain[s.Name] {
				chain = 0
			}
			signedIn(t, account, err, s.Address, chain)
		})
	}
}

// refused tests that a signature was refused for good: not because a chain could not be asked.
func refused(tb testing.TB, err error) {
	tb.Helper()
	if !errors.Is(err, wallet.ErrInvalidSignature) || errors.Is(err, wallet.ErrRPCUnavailable) {
		tb.Errorf("not refused: %v", err)
	}
}

// signedIn tests that a wallet signed in: as itself where chain is 0, else as a contract of that chain.
func signedIn(tb testing.TB, got wallet.Account, err error, account common.Address, chain uint64) {
	tb.Helper()
	if err != nil {
		tb.Error(err)
	} else if got.Address != wallet.Address(account) || got.ChainID != chain {
		tb.Errorf("signed in as %s, not as %s of chain %d", got.Key(), account, chain)
	}
}
