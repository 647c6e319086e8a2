package wallet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// proof is what a contract said yes to once. The text of it is kept with a session, since a contract may change its mind:
// when it gets another owner, say.
type proof struct {
	chain     uint64
	wallet    Address
	hash      [32]byte
	signature []byte
}

// proofVersion begins an encoded proof.
const proofVersion = 1

const proofHead = 1 + 8 + len(Address{}) + 32

var errMalformedProof = errors.New("not the proof of a contract wallet")

func (p proof) encode() string {
	b := append(make([]byte, 0, proofHead+len(p.signature)), proofVersion)
	b = binary.BigEndian.AppendUint64(b, p.chain)
	b = append(b, p.wallet[:]...)
	b = append(b, p.hash[:]...)
	return string(append(b, p.signature...))
}

func decodeProof(s string) (p proof, err error) {
	if len(s) < proofHead || len(s) > proofHead+maxContractSignature || s[0] != proofVersion {
		return proof{}, errMalformedProof
	}
	b := []byte(s[1:])
	p.chain = binary.BigEndian.Uint64(b)
	b = b[copy(p.wallet[:], b[8:])+8:]
	p.signature = b[copy(p.hash[:], b):]
	return p, nil
}

// Recheck asks a contract again about an earlier sign-in, Account.Proof. It answers nil, ErrRPCUnavailable, or
// ErrInvalidSignature where the contract says no now, or contracts of its chain are not asked any more.
func (s *SignIn) Recheck(ctx context.Context, client, encoded string) error {
	p, err := decodeProof(encoded)
	if err != nil {
		return fmt.Errorf("wallet: recheck: %w: %w", err, ErrInvalidSignature)
	}
	if s.Contracts == nil {
		return fmt.Errorf("wallet: recheck: chain %d: %w", p.chain, ErrChainNotChecked)
	}
	return s.Contracts.Verify(ctx, client, p.chain, p.wallet, p.hash, p.signature)
}
