package passkey_test

import (
	"context"
	"fmt"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

// An account is opened with a passkey, which signs in from then on, with no username typed.
func ExampleCeremonies() {
	const origin = "https://app.example.com"
	ctx, store := context.Background(), memstore.New()
	ceremonies := &passkey.Ceremonies{
		Challenges:  store.ChallengeStores().Challenges,
		Credentials: store,
		RPID:        "example.com",
		RPName:      "Example",
	}
	if err := ceremonies.Validate(origin); err != nil {
		fmt.Println(err)
		return
	}
	var browser passkeytest.Authenticator

	begun, err := ceremonies.BeginRegistration(ctx, passkey.Registering{
		Origin: origin, UserID: "7f3c", Username: "alice", New: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	response, err := browser.Create(begun.Options, origin)
	if err != nil {
		fmt.Println(err)
		return
	}
	made, err := ceremonies.FinishRegistration(ctx, passkey.Registration{
		Origin: origin, ChallengeID: begun.ChallengeID, Response: response, Name: "laptop",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	made.Credential.ID = "51d0"
	err = store.CreateUser(ctx, authcore.User{ID: made.UserID, Username: made.Username}, made.Credential)
	if err != nil {
		fmt.Println(err)
		return
	}

	begun, err = ceremonies.BeginAuthentication(ctx, passkey.Authenticating{Origin: origin})
	if err != nil {
		fmt.Println(err)
		return
	}
	response, err = browser.Get(begun.Options, origin)
	if err != nil {
		fmt.Println(err)
		return
	}
	done, err := ceremonies.FinishAuthentication(ctx, passkey.Authentication{
		Origin: origin, ChallengeID: begun.ChallengeID, Response: response,
	})
	fmt.Println(done.UserID, done.Credential.Name, done.Evidence.UserVerified, err)
	// Output: 7f3c laptop true <nil>
}
