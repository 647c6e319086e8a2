package wallet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
)

// What endpoints say, in the form in which their answers are compared.
const (
	valid       = "the contract says yes"
	invalid     = "the contract does not say yes"
	notDeployed = "there is no contract"
	reverted    = "reverted"
	returned    = "returned " // and the bytes
)

// caller is who asks: nobody's address. It is not zero, since some wallets take calls of the zero address for a
// simulation and say yes to anything.
var caller = Address([]byte("authgate asks wallet"))

// anybodysCalls are contracts that call, or run, what their caller asks for. As factory of an ERC-6492 signature each would
// let a stranger deploy a wallet and take it over in one go, where its control can be had by anybody for a moment.
var anybodysCalls = []Address{
	mustAddress("0xcA11bde05977b3631167028862bE2a173976CA11"), // Multicall3
	mustAddress("0x5BA1e12693Dc8F9c48aAD8770482f4739bEeD696"), // Multicall2
	mustAddress("0xeefBa1e63905eF1D7ACbA5a8513c70307C1cE441"), // Multicall
	mustAddress("0x4e59b44847b379578588920cA78FbF26c0B4956C"), // deterministic deployment proxy: runs any constructor
	mustAddress("0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7"), // Safe's singleton factory: the same
	mustAddress("0xba5Ed099633D3B313e4D5F7bdc1305d3c28ba5Ed"), // CreateX: the same
}

func mustAddress(s string) Address {
	a, err := ParseAddress(s)
	if err != nil {
		panic(err) // a slip in this file, which its tests find
	}
	return a
}

// transaction is the call object of eth_call and eth_simulateV1. Both names of the data are in use; this one is known to
// all servers.
type transaction struct {
	From hexutil.Bytes  `json:"from"`
	To   hexutil.Bytes  `json:"to"`
	Gas  hexutil.Uint64 `json:"gas"`
	Data hexutil.Bytes  `json:"data"`
}

func (e *endpoint) transaction(to Address, data []byte) transaction {
	return transaction{caller[:], to[:], hexutil.Uint64(e.config.Gas), data}
}

// isValid asks the wallet. An address without code has nobody who could answer: an eth_call to it succeeds, and returns
// nothing.
func (e *endpoint) isValid(ctx context.Context, q question) (string, error) {
	code, answer, err := e.codeAndCall(ctx, q.wallet, isValidSignatureCall(q.hash, q.signature))
	switch {
	case err != nil:
		return "", err
	case len(code) == 0 && q.deploy != nil:
		return e.isValidDeployed(ctx, q)
	case len(code) == 0:
		return notDeployed, nil
	// Of a wallet that is deployed the factory is not called: the call is the attacker's choice, and could change who
	// controls the wallet before the wallet is asked.
	case answer.err != nil:
		return "", answer.err
	case answer.said != reverted && saysValid([]byte(answer.said[len(returned):])):
		return valid, nil
	}
	return invalid, nil
}

// answer is what a contract answered: said is reverted, or returned with the bytes behind it.
type answer struct {
	said string
	err  error // where it cannot be told
}

// codeAndCall asks for the code of an address and makes a call to it, in one request.
func (e *endpoint) codeAndCall(ctx context.Context, a Address, data []byte) (code []byte, said answer, err error) {
	var has, ret hexutil.Bytes
	getCode := rpc.BatchElem{Method: "eth_getCode", Args: []any{hexutil.Bytes(a[:]), "latest"}, Result: &has}
	calls := []rpc.BatchElem{getCode, {Method: "eth_call", Args: []any{e.transaction(a, data), "latest"}, Result: &ret}}
	err = e.batch(ctx, calls)
	var large *tooLarge
	switch {
	case errors.As(err, &large):
		// Most likely the contract returned it. Where the endpoint answers the other question it is no fault of its own, and
		// what is this large is no answer of ERC-1271.
		calls = calls[:1]
		if err := e.batch(ctx, calls); err != nil {
			return nil, answer{}, err
		}
		said.said = reverted
	case err != nil:
		return nil, answer{}, err
	default:
		said = contractAnswer(calls[1].Error, ret)
	}
	if calls[0].Error != nil {
		return nil, answer{}, e.refusal("eth_getCode", calls[0].Error)
	}
	return has, said, nil
}

// contractAnswer tells what a contract did from what its server could not do.
func contractAnswer(err error, ret []byte) answer {
	var said rpc.Error
	switch {
	case err == nil:
		return answer{said: returned + string(ret)}
	case !errors.As(err, &said):
		return answer{err: &failure{"malformed", "eth_call: no result"}}
	case isExecutionError(said):
		return answer{said: reverted}
	}
	return answer{err: unclear{fmt.Errorf("eth_call: error %d", said.ErrorCode())}}
}

// executionErrors are the words by which servers say that the contract failed, and not they.
var executionErrors = []string{
	"revert", "out of gas", "outofgas", "gas required exceeds", "opcode", "stack underflow", "stack overflow", "stack limit",
	"invalid jump", "write protection", "return data out of bounds", "evm error", "vm execution error", "max call depth",
}

// isExecutionError: code 3 is a revert with geth and those that follow it; for the rest each has codes and words of its own.
func isExecutionError(err rpc.Error) bool {
	if err.ErrorCode() == 3 {
		return true
	}
	text := strings.ToLower(err.Error())
	for _, words := range executionErrors {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// call makes a call.
func (e *endpoint) call(ctx context.Context, to Address, data []byte) (string, error) {
	var ret hexutil.Bytes
	calls := []rpc.BatchElem{{Method: "eth_call", Args: []any{e.transaction(to, data), "latest"}, Result: &ret}}
	if err := e.batch(ctx, calls); err != nil {
		return "", err
	}
	said := contractAnswer(calls[0].Error, ret)
	return said.said, said.err
}

// code asks for the code of an address.
func (e *endpoint) code(ctx context.Context, a Address) (string, error) {
	var has hexutil.Bytes
	calls := []rpc.BatchElem{{Method: "eth_getCode", Args: []any{hexutil.Bytes(a[:]), "latest"}, Result: &has}}
	if err := e.batch(ctx, calls); err != nil {
		return "", err
	}
	if calls[0].Error != nil {
		return "", e.refusal("eth_getCode", calls[0].Error)
	}
	return returned + string(has), nil
}
