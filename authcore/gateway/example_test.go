package gateway_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/authcore/policy"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

// The gateway in front of a handler of net/http. The backend reads who a request is from its headers; it need not know
// that there is a gateway.
func Example() {
	backend := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s for %q", r.URL.Path, r.Header.Get("Remote-User"))
	})

	// What sites have in common: accounts, sessions, keys, and the ways to sign in. A store that lasts is opened with
	// sqlitestore.Open.
	store := memstore.New()
	realm, err := gateway.NewRealm(gateway.RealmConfig{
		Stores:     store.Stores(),
		Challenges: store.ChallengeStores(),
		Wallet:     &gateway.WalletConfig{Statement: "Sign in to Example."},
		Grants: []gateway.Grant{
			{Role: "admin", To: []string{"0x52908400098527886E0F7030069857D2E4169EE7"}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	// One origin, and who may do what on it. The first rule that fits decides; what no rule names needs a signed-in user.
	site, err := gateway.New(realm, gateway.Site{
		Origin: "https://app.example.com",
		Rules: []policy.Rule{
			{Anyone: true, Paths: []string{"/healthz", "/assets/*"}},
			{Roles: []string{"admin"}, Paths: []string{"/admin/*"}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	// Everything that expires is deleted by this, each minute say.
	//
	//	for range time.Tick(time.Minute) {
	//		err := realm.Clean(ctx)
	//	}

	server := httptest.NewServer(site.Handler(backend))
	defer server.Close()

	get := func(path string, headers ...string) {
		r, err := http.NewRequest(http.MethodGet, server.URL+path, nil)
		if err != nil {
			log.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		answer, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
		if err != nil {
			log.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(answer.StatusCode, answer.Header.Get("Location")+strings.TrimSpace(string(body)))
	}
	get("/assets/style.css", "Remote-User", "admin")         // for anyone; what a client says of itself is dropped
	get("/admin/users", "Accept", "text/html")               // a person is sent to sign in, and comes back
	get("/admin/users", "Authorization", "Bearer forged")    // a program is told
	get("/auth/session", "Cookie", "__Host-authgate=forged") // one of the gateway's own routes

	// Output:
	// 200 /assets/style.css for ""
	// 302 https://app.example.com/auth/sign-in?return_to=%2Fadmin%2Fusers
	// 401 {"type":"about:blank","title":"Unauthorized","status":401,"code":"unauthenticated","detail":"Sign in to see this."}
	// 401 {"type":"about:blank","title":"Unauthorized","status":401,"code":"unauthenticated","detail":"Sign in to see this."}
}
