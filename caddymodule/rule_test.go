package caddymodule

import (
	"slices"
	"testing"
)

// A rule names an address in the one form in which addresses are confirmed, however it is written.
func TestRuleFoldsAddresses(t *testing.T) {
	written := []string{"alice", "Bob@Bücher.example"}
	rule := Rule{Action: "allow", Who: "user", Users: written}
	compiled, err := rule.compiled()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"alice", "bob@xn--bcher-kva.example"}; !slices.Equal(compiled.Users, want) {
		t.Errorf("compiled to %q", compiled.Users)
	}
	if written[1] != "Bob@Bücher.example" {
		t.Error("the configuration was changed")
	}
}
