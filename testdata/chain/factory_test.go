package chain

import (
	"math/big"
	"testing"
)

// A stranger has Safe's own factory, which is listed, make a proxy of a contract of the stranger's. Its initializer has the
// factory of a wallet that is on sale at first deploy it, and buys it. The wallet would say yes to the stranger then; but it
// is not the one that Safe's factory made.
func TestFactoryDeploysAnotherWalletByTheWay(t *testing.T) {
	w := theWorld(t)
	contracts := w.contracts(t)
	owner, factory := address(w.owner), w.at["WalletFactory"]
	forSale, err := w.willBe(forSaleWallet, owner, 7)
	if err != nil {
		t.Fatal(err)
	}
	message, hash := asks(t, forSale, chainID)
	deployAndBuy := w.call("Chain2", "go", factory, w.creates(forSaleWallet, owner, 7), forSale, w.call("ForSaleWallet", "buy", address(w.other)))
	proxy := w.call("SafeProxyFactory", "createProxyWithNonce", w.at["Chain2"], deployAndBuy, big.NewInt(424242))
	_, err = signIn(t.Context(), contracts, message, hex(wrap(w.at["SafeProxyFactory"], proxy, sign(hash, w.other))))
	refused(t, err)
	// As it is deployed, and nothing else is done, its owner signs for it.
	account, err := signIn(t.Context(), contracts, message, hex(wrap(factory, w.creates(forSaleWallet, owner, 7), sign(hash, w.owner))))
	signedIn(t, account, err, forSale, chainID)
}
