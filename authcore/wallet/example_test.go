package wallet_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// A sign-in from both sides: the site asks, the wallet signs, the site judges.
func ExampleSignIn() {
	ctx := context.Background()
	signIn := wallet.SignIn{
		Challenges: memstore.NewChallenges(memstore.ChallengesConfig{}),
		Statement:  "Sign in to Example.",
	}
	if err := signIn.Validate(); err != nil {
		fmt.Println(err)
		return
	}

	// In the browser: a wallet with one key.
	key, err := crypto.HexToECDSA("0000000000000000000000000000000000000000000000000000000000000001")
	if err != nil {
		fmt.Println(err)
		return
	}

	asked, err := signIn.Begin(ctx, wallet.Ask{
		Origin:  "https://app.example.com",
		Client:  "192.0.2.1",
		Address: crypto.PubkeyToAddress(key.PublicKey).Hex(),
		ChainID: 1,
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// In the browser again: personal_sign.
	hash := wallet.Hash(asked.Message)
	signature, err := crypto.Sign(hash[:], key)
	if err != nil {
		fmt.Println(err)
		return
	}

	answer := wallet.Answer{
		Origin:    "https://app.example.com",
		Message:   asked.Message,
		Signature: "0x" + hex.EncodeToString(signature),
	}
	account, err := signIn.Finish(ctx, answer)
	fmt.Println(account.Key(), err)

	// The same answer counts once.
	_, err = signIn.Finish(ctx, answer)
	fmt.Println(errors.Is(err, authcore.ErrChallengeNotFound))
	// Output:
	// 0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf <nil>
	// true
}
