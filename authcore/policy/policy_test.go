package policy

import "testing"

func TestSmoke(t *testing.T) {
	p, err := Compile([]Rule{{Anyone: true, Paths: []string{"/public/*"}}, {Roles: []string{"admin"}, Paths: []string{"/admin/*"}}}, "/auth")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/public/x", "/public/..;/admin/x", "/admin/../public/x", "/public/..%2F%2e%2e%252fadmin;x=1/b.%20//c%5C..%5c.", "/100%25", "/public/%2500", "/", "//public/x/y"} {
		r, ok := readings(path)
		t.Log(path, p.Judge(Request{Method: "GET", Path: path}), len(r), ok)
	}
}
