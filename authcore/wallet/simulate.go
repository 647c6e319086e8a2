package wallet

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
)

// simulation is the argument of eth_simulateV1: calls one after the other in blocks that are thrown away.
type simulation struct {
	Blocks []simulatedCalls `json:"blockStateCalls"`
}

type simulatedCalls struct {
	Calls []transaction `json:"calls"`
}

// simulatedBlock is a block of its result; all else of a block is left out.
type simulatedBlock struct {
	Calls []struct {
		ReturnData hexutil.Bytes  `json:"returnData"`
		Status     hexutil.Uint64 `json:"status"`
	} `json:"calls"`
}

// isValidDeployed has the factory deploy the wallet in a block that is thrown away, and asks the wallet there (ERC-6492).
// The address had no code a moment ago.
func (e *endpoint) isValidDeployed(ctx context.Context, q question) (string, error) {
	var blocks []simulatedBlock
	calls := []rpc.BatchElem{{Method: "eth_simulateV1", Result: &blocks, Args: []any{
		simulation{[]simulatedCalls{{[]transaction{
			e.transaction(q.deploy.factory, q.deploy.call),
			e.transaction(q.wallet, isValidSignatureCall(q.hash, q.signature)),
		}}}}, "latest",
	}}}
	var large *tooLarge
	err := e.batch(ctx, calls)
	switch {
	case errors.As(err, &large):
		return "", unclear{errTooLarge} // what the wallet returned, or what its factory noted
	case err != nil:
		return "", err
	}
	var said rpc.Error
	switch err := calls[0].Error; {
	case errors.As(err, &said):
		return "", unclear{fmt.Errorf("eth_simulateV1, without which no wallet can be checked before it is deployed: error %d", said.ErrorCode())}
	case len(blocks) != 1 || len(blocks[0].Calls) != 2:
		return "", &failure{"malformed", "eth_simulateV1: not the result of two calls"}
	}
	deploying, asking := blocks[0].Calls[0], blocks[0].Calls[1]
	// Safe's factory runs an initializer of its caller's choice, and other ones do alike. It could deploy this wallet by the
	// way and take it over, where the call is for another one. Only the wallet that a factory names as made by the call is
	// asked: whose address commits to what the call runs.
	made := deploying.Status == 1 && bytes.Equal(deploying.ReturnData, addressWord(q.wallet))
	if made && asking.Status == 1 && saysValid(asking.ReturnData) {
		return valid, nil
	}
	return invalid, nil
}
