package token

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The claims are as strict as the header, for the day on which something else signs with these keys. golang-jwt reads
// most of these without complaint.
func TestForeignClaims(t *testing.T) {
	i := newIssuer(newClock())
	head, payload := parts(t, i)
	accept(t, i, forge(t, i, head, payload))
	exp := fmt.Sprintf(`"exp":%d`, start.Add(5*time.Minute).Unix())
	iat := fmt.Sprintf(`"iat":%d`, start.Unix())
	authTime := fmt.Sprintf(`"auth_time":%d`, start.Add(-time.Minute).Unix())
	aud := `"aud":"` + origin + `"`
	change := func(old, new string) string {
		if !strings.Contains(payload, old) {
			t.Fatalf("no %s in %s", old, payload)
		}
		return strings.Replace(payload, old, new, 1)
	}
	with := func(member string) string { return change(`"iss"`, member+`,"iss"`) }
	late := start.AddDate(10, 0, 0).Unix()
	tests := []struct{ name, payload string }{
		// the last one wins in encoding/json: two verifiers may read two tokens
		{"exp twice", with(exp)},
		{"sub twice", with(`"sub":"u-1"`)},
		{"sub twice, once escaped", with(`"\u0073ub":"u-2"`)},
		{"unknown claim twice", with(`"x":1,"x":2`)},
		{"method time twice", change(`"method_times":{`, fmt.Sprintf(`"method_times":{"wallet":%d,`, start.Unix()))},
		// encoding/json, and so golang-jwt, matches names without case
		{"EXP beside exp", with(fmt.Sprintf(`"EXP":%d`, late))},
		{"Exp instead of exp", change(`"exp"`, `"Exp"`)},
		{"Sub beside sub", with(`"Sub":"u-2"`)},
		{"ROLES beside roles", with(`"ROLES":["owner"]`)},
		{"long s in sub", with(`"ſub":"u-2"`)},
		{"Kelvin sign in wallets", change(`"wallets"`, `"WALLETS"`)},
		{"exp a string", change(exp, `"exp":"9999999999"`)},
		{"exp null", change(exp, `"exp":null`)},
		{"exp missing", change(exp+",", "")},
		{"exp a fraction", change(exp, exp+".5")},
		{"exp with an exponent", change(exp, `"exp":9e9`)},
		{"exp negative", change(exp, `"exp":-1`)},
		{"exp zero", change(exp, `"exp":0`)},
		{"exp true", change(exp, `"exp":true`)},
		{"exp beyond int64", change(exp, `"exp":99999999999999999999999`)},
		{"exp in milliseconds", change(exp, exp+"000")},
		{"exp an array", change(exp, `"exp":[9999999999]`)},
		{"eternal", change(exp, fmt.Sprintf(`"exp":%d`, late))},
		{"exp before iat", change(exp, fmt.Sprintf(`"exp":%d`, start.Unix()))},
		{"iat a string", change(iat, `"iat":"1"`)},
		{"iat null", change(iat, `"iat":null`)},
		{"iat missing", change(iat+",", "")},
		{"nbf in the future", with(fmt.Sprintf(`"nbf":%d`, start.Add(61*time.Second).Unix()))},
		{"nbf null", with(`"nbf":null`)},
		{"auth_time missing", change(authTime+",", "")},
		{"auth_time newer than any method", change(authTime, fmt.Sprintf(`"auth_time":%d`, start.Unix()))},
		{"aud missing", change(aud+",", "")},
		{"aud another", change(aud, `"aud":"https://evil.example"`)},
		{"aud a prefix", change(aud, `"aud":"https://app.example.co"`)},
		{"aud longer", change(aud, `"aud":"https://app.example.com.evil.example"`)},
		{"aud in another case", change(aud, `"aud":"https://APP.example.com"`)},
		{"aud others", change(aud, `"aud":["https://a.example","https://b.example"]`)},
		{"aud empty", change(aud, `"aud":""`)},
		{"aud empty array", change(aud, `"aud":[]`)},
		{"aud null", change(aud, `"aud":null`)},
		{"aud with null in it", change(aud, `"aud":["`+origin+`",null]`)},
		{"aud nested", change(aud, `"aud":[["`+origin+`"]]`)},
		{"aud an object", change(aud, `"aud":{"`+origin+`":1}`)},
		{"aud a number", change(aud, `"aud":1`)},
		{"iss missing", change(`"iss":"`+origin+`",`, "")},
		{"sub missing", change(`"sub":"u-1",`, "")},
		{"sub empty", change(`"sub":"u-1"`, `"sub":""`)},
		{"sub null", change(`"sub":"u-1"`, `"sub":null`)},
		{"sub a number", change(`"sub":"u-1"`, `"sub":1`)},
		{"sid missing", change(`"sid":"s-1",`, "")},
		{"client_id missing", change(`"client_id":"`+origin+`",`, "")},
		{"jti empty", strings.Replace(payload, `"jti":"`, `"jti":"","x":"`, 1)},
		{"roles a string", change(`["admin","editor"]`, `"admin"`)},
		{"roles null", change(`["admin","editor"]`, `null`)},
		{"roles with null in it", change(`"editor"`, `null`)},
		{"roles with a number", change(`"editor"`, `1`)},
		{"name empty", strings.Replace(payload, `"name":"`, `"name":"","x":"`, 1)},
		{"methods missing", change(`"methods":["wallet","password"],`, "")},
		{"method twice", change(`["wallet","password"]`, `["wallet","password","wallet"]`)},
		{"method twice in place of another", change(`["wallet","password"]`, `["password","password"]`)},
		{"method without time", change(`["wallet","password"]`, `["wallet","password","passkey"]`)},
		{"time without method", change(`["wallet","password"]`, `["password"]`)},
		{"method time a string", change(fmt.Sprintf(`"wallet":%d`, start.Add(-time.Hour).Unix()), `"wallet":"1"`)},
		{"method_times an array", strings.Replace(payload, `"method_times":`, `"method_times":[],"x":`, 1)},
		{"evidence of a method that was not used", with(`"user_verified":["passkey"]`)},
		{"evidence of none", with(`"device_bound":[]`)},
		{"evidence a string", with(`"user_verified":"wallet"`)},
		{"evidence in another case", with(`"User_Verified":["wallet"]`)},
		{"trailing data", payload + `{"sub":"u-2"}`},
		{"trailing bracket", payload + "]"},
		{"not UTF-8", change("alice", "al\xffice")},
		{"an array", "[" + payload + "]"},
		{"an array of names and values", listed(t, payload)},
		{"null", "null"},
		{"empty", ""},
		{"comma at the end", payload[:len(payload)-1] + ",}"},
		{"not closed", payload[:len(payload)-1]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.payload == payload {
				t.Fatal("the claims are the good ones")
			}
			refuse(t, i, forge(t, i, head, tt.payload), ErrInvalid)
		})
	}
	// Over-blocking is a defect too.
	for name, good := range map[string]string{
		"unknown claim":     with(`"x":{"y":[null]}`),
		"aud one of many":   change(aud, `"aud":["https://b.example","`+origin+`"]`),
		"nbf now":           with(fmt.Sprintf(`"nbf":%d`, start.Unix())),
		"whitespace inside": strings.ReplaceAll(payload, `,"`, ` , "`),
		"no roles":          change(`"roles":["admin","editor"],`, ""),
	} {
		t.Run(name, func(t *testing.T) { accept(t, i, forge(t, i, head, good)) })
	}
}

// listed answers the members of an object as an array: name, value, name, value.
func listed(t *testing.T, object string) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &members); err != nil {
		t.Fatal(err)
	}
	var list []string
	for name, value := range members {
		list = append(list, `"`+name+`",`+string(value))
	}
	return "[" + strings.Join(list, ",") + "]"
}

// auth_time and the times of methods are consistent with each other but lie after the token: "within 5m" would hold for
// hours.
func TestAuthTimeAfterIssue(t *testing.T) {
	i := newIssuer(newClock())
	head, payload := parts(t, i)
	was, lie := fmt.Sprint(start.Add(-time.Minute).Unix()), fmt.Sprint(start.Add(time.Hour).Unix())
	refuse(t, i, forge(t, i, head, strings.ReplaceAll(payload, was, lie)), ErrInvalid)
}

// Whatever claims are accepted, they are written again as they were read.
func FuzzParseClaims(f *testing.F) {
	i := newIssuer(newClock())
	_, payload := parts(f, i)
	f.Add([]byte(payload))
	f.Add([]byte(`{"iss":"i","aud":["a","b"],"sub":"u","client_id":"c","sid":"s","jti":"j","iat":2,"exp":3,"auth_time":1,"methods":["wallet"],"method_times":{"wallet":1}}`))
	f.Add([]byte(`{"iss":"i","aud":"a","sub":"u","client_id":"c","sid":"s","jti":"j","iat":2,"exp":3,"auth_time":1,"methods":["passkey"],"method_times":{"passkey":1},"user_verified":["passkey"],"device_bound":["passkey"]}`))
	f.Add([]byte(`{"exp":1,"EXP":2}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := parseClaims(payload)
		if err != nil {
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		d, err := parseClaims(again)
		if err != nil {
			t.Fatalf("%s is written as %s: %v", payload, again, err)
		}
		if got, want := fmt.Sprintf("%#v", d), fmt.Sprintf("%#v", c); got != want {
			t.Fatalf("%s comes back as %s", want, got)
		}
		// And who compares names without case, as encoding/json does, reads no other identity.
		var lax struct {
			Subject string   `json:"sub"`
			Roles   []string `json:"roles"`
			Expires int64    `json:"exp"`
		}
		err = json.Unmarshal(payload, &lax)
		if err != nil || lax.Subject != c.Subject || !slices.Equal(lax.Roles, c.Roles) || lax.Expires != c.Expires {
			t.Fatalf("%s is read as %+v elsewhere, %v", payload, lax, err)
		}
	})
}
