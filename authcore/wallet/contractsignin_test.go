package wallet

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
)

// contractHouse is a house that asks one chain, 10.
func contractHouse(tb testing.TB, change func(*ContractsConfig)) (*house, *fakeChain) {
	tb.Helper()
	h, f := newHouse(), newFakeChain(tb, 10)
	h.Contracts = testContracts(tb, change, f)
	return h, f
}

func text(signature []byte) string { return "0x" + hex.EncodeToString(signature) }

// A contract wallet signs in, as an account of its chain.
func TestSignInContract(t *testing.T) {
	h, f := contractHouse(t, nil)
	asked := h.begin(t, Ask{Address: contractWallet.String(), ChainID: 10})
	sig := []byte("two of three owners")
	f.deploy(contractWallet, signedBy(Hash(asked.Message), sig))
	account, err := h.finish(asked.Message, text(sig))
	if err != nil {
		t.Fatal(err)
	}
	if want := "eip155:10:" + contractWallet.String(); account.Key() != want || account.Address != contractWallet || account.ChainID != 10 {
		t.Errorf("%+v", account)
	}
	if err := h.Recheck(t.Context(), "", account.Proof); err != nil {
		t.Error(err)
	}
	// Its owners change.
	f.deploy(contractWallet, says(make([]byte, 32)))
	if err := h.Recheck(t.Context(), "", account.Proof); !errors.Is(err, ErrInvalidSignature) {
		t.Error(err)
	}
	if _, err := h.finish(asked.Message, text(sig)); !errors.Is(err, authcore.ErrChallengeNotFound) {
		t.Errorf("a second time: %v", err)
	}
}

// A key needs no chain: not where its account has code by now (EIP-7702), and not where the chain is dead.
func TestSignInKeyAsksNoChain(t *testing.T) {
	h, f := contractHouse(t, nil)
	w := newSigner(t, 1)
	f.deploy(w.address, says(make([]byte, 32))) // delegated to code that knows no signatures
	asked := h.begin(t, Ask{Address: w.address.String(), ChainID: 10})
	account, err := h.finish(asked.Message, w.sign(t, asked.Message))
	if err != nil || account != (Account{Address: w.address}) {
		t.Errorf("%+v, %v", account, err)
	}
	f.Close()
	asked = h.begin(t, Ask{Address: w.address.String(), ChainID: 10})
	if account, err := h.finish(asked.Message, w.sign(t, asked.Message)); err != nil || account.ChainID != 0 {
		t.Errorf("%+v, %v", account, err)
	}
}

// What the code of a delegated account says yes to is another identity than its key: the code may be anybody's choice on
// this chain.
func TestSignInDelegated(t *testing.T) {
	h, f := contractHouse(t, nil)
	w, sessionKey := newSigner(t, 1), newSigner(t, 2)
	asked := h.begin(t, Ask{Address: w.address.String(), ChainID: 10})
	sig := sessionKey.sign(t, asked.Message)
	f.deploy(w.address, signedBy(Hash(asked.Message), unhex(sig)))
	account, err := h.finish(asked.Message, sig)
	if err != nil || account.Key() != "eip155:10:"+w.address.String() {
		t.Errorf("%+v, %v", account, err)
	}
}

// A chain that cannot be asked gives no verdict, and the nonce is spent all the same: else one nonce would be good for as
// many tries as the chain is down.
func TestSignInContractWithDeadChain(t *testing.T) {
	h, f := contractHouse(t, nil)
	f.Close()
	asked := h.begin(t, Ask{Address: contractWallet.String(), ChainID: 10})
	if _, err := h.finish(asked.Message, "0x"); !errors.Is(err, ErrRPCUnavailable) || errors.Is(err, ErrInvalidSignature) {
		t.Errorf("%v", err)
	}
	if _, err := h.finish(asked.Message, "0x"); !errors.Is(err, authcore.ErrChallengeNotFound) {
		t.Errorf("%v", err)
	}
}

// Nobody makes us ask a chain without a nonce of ours.
func TestSignInJunkAsksNoChain(t *testing.T) {
	h, f := contractHouse(t, nil)
	w := newSigner(t, 1)
	message, err := h.written("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", w).Format()
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.finish(message, "0x")
	if !errors.Is(err, authcore.ErrChallengeNotFound) {
		t.Error(err)
	}
	asked := h.begin(t, Ask{Address: w.address.String(), ChainID: 10})
	if _, err := h.finish(asked.Message+" ", "0x"); err == nil {
		t.Error("another message")
	}
	if asked := f.questions(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
}

func TestRecheckRefuses(t *testing.T) {
	h, f := contractHouse(t, nil)
	f.deploy(contractWallet, says(yes))
	good := proof{10, contractWallet, [32]byte{1}, nil}.encode()
	other := proof{11, contractWallet, [32]byte{1}, nil}.encode()
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"good", good, nil},
		{"empty", "", ErrInvalidSignature},
		{"cut", good[:len(good)-1], ErrInvalidSignature},
		{"another version", "\x02" + good[1:], ErrInvalidSignature},
		{"chain not asked any more", other, ErrChainNotChecked},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := h.Recheck(t.Context(), "", c.in); !errors.Is(err, c.want) {
				t.Error(err)
			}
		})
	}
	h.Contracts = nil
	if err := h.Recheck(t.Context(), "", good); !errors.Is(err, ErrChainNotChecked) {
		t.Error(err)
	}
}
