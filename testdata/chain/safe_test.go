package chain

import (
	"crypto/ecdsa"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// newSafe deploys a Safe where there is none yet.
func (w *world) newSafe(threshold int64, owners ...common.Address) (common.Address, error) {
	return w.safeWith(w.salt.Add(1), threshold, owners...)
}

// safeWith deploys a Safe as its own factory does.
func (w *world) safeWith(salt, threshold int64, owners ...common.Address) (common.Address, error) {
	factory, singleton := w.at["SafeProxyFactory"], w.at["SafeSingleton"]
	setup := w.setUpSafe(threshold, owners...)
	if _, err := w.send(&factory, w.call("SafeProxyFactory", "createProxyWithNonce", singleton, setup, big.NewInt(salt))); err != nil {
		return common.Address{}, err
	}
	return w.safeAt(setup, salt), nil
}

func (w *world) setUpSafe(threshold int64, owners ...common.Address) []byte {
	return w.call("SafeSingleton", "setup", owners, big.NewInt(threshold), common.Address{}, []byte{},
		w.at["SafeFallbackHandler"], common.Address{}, big.NewInt(0), common.Address{})
}

// safeAt answers where the factory of Safe deploys (EIP-1014).
func (w *world) safeAt(setup []byte, salt int64) common.Address {
	creation := slices.Concat(w.artifacts["SafeProxy"].Creation, common.LeftPadBytes(w.at["SafeSingleton"].Bytes(), 32))
	n := number(salt)
	return crypto.CreateAddress2(w.at["SafeProxyFactory"], crypto.Keccak256Hash(crypto.Keccak256(setup), n[:]), crypto.Keccak256(creation))
}

// safeHash is what the owners of a Safe sign for the hash of a message.
func safeHash(safe common.Address, hash [32]byte) [32]byte {
	message := crypto.Keccak256(crypto.Keccak256([]byte("SafeMessage(bytes message)")), crypto.Keccak256(hash[:]))
	return crypto.Keccak256Hash([]byte{0x19, 0x01}, domainOf(safe), message)
}

// domainOf is the separator of an account and its chain (EIP-712).
func domainOf(account common.Address) []byte {
	return crypto.Keccak256(crypto.Keccak256([]byte("EIP712Domain(uint256 chainId,address verifyingContract)")),
		common.LeftPadBytes(big.NewInt(chainID).Bytes(), 32), common.LeftPadBytes(account[:], 32))
}

// signSafe is the signature of owners of a Safe, in the order in which it wants them.
func signSafe(safe common.Address, hash [32]byte, keys ...*ecdsa.PrivateKey) []byte {
	return signEach(safeHash(safe, hash), keys...)
}

// signSafeMessage is the signature of a Safe that owns another one. Its owners sign the text that the other one asks about,
// which is not its hash alone.
func signSafeMessage(owner, safe common.Address, hash [32]byte, keys ...*ecdsa.PrivateKey) []byte {
	message := crypto.Keccak256(crypto.Keccak256([]byte("SafeMessage(bytes message)")), crypto.Keccak256(hash[:]))
	text := slices.Concat([]byte{0x19, 0x01}, domainOf(safe), message)
	outer := crypto.Keccak256(crypto.Keccak256([]byte("SafeMessage(bytes message)")), crypto.Keccak256(text))
	return signEach(crypto.Keccak256Hash([]byte{0x19, 0x01}, domainOf(owner), outer), keys...)
}

// approve has a Safe of the deployer sign on the chain: of such a message the site is given an empty signature.
func (w *world) approve(safe, library common.Address, hash [32]byte) error {
	const delegateCall = uint8(1)
	sender := address(w.key)
	// v 1: the owner is who sends the transaction.
	signature := append(common.LeftPadBytes(sender[:], 32), append(make([]byte, 32), 1)...)
	_, err := w.send(&safe, w.call("SafeSingleton", "execTransaction", library, big.NewInt(0),
		w.call("SignMessageLib", "signMessage", hash[:]), delegateCall,
		big.NewInt(0), big.NewInt(0), big.NewInt(0), common.Address{}, common.Address{}, signature))
	return err
}
