package caddymodule

// Scope is how many instances can share what a store keeps.
type Scope int

const (
	AllMachines Scope = iota // whoever can connect to it
	OneMachine               // the processes of this machine
	OneProcess               // this process alone
)

// Scoped is what a [Store] or [ChallengeStore] fulfils too that cannot be shared by all machines.
type Scoped interface {
	Scope() Scope
}

func scopeOf(module any) Scope {
	if s, ok := module.(Scoped); ok {
		return s.Scope()
	}
	return AllMachines
}

// Scope implements Scoped.
func (*SQLiteStore) Scope() Scope { return OneMachine }

// Scope implements Scoped.
func (*MemoryChallengeStore) Scope() Scope { return OneProcess }

// mismatch says why several instances could not work, where one of the two stores looks as if there were several and the
// other as if not; else it says nothing.
func mismatch(store Store, challenges ChallengeStore) string {
	accounts, short := scopeOf(store), scopeOf(challenges)
	if challenges.StoreName() == "" {
		short = accounts // it keeps things where the accounts are
	}
	switch {
	case accounts == AllMachines && short == OneProcess:
		return "the store of accounts can be shared by several instances, but challenge_store memory is this process's own: where there are several, " +
			"a sign-in that begins on one cannot end on another, and each counts wrong passwords and rate limits for itself; " +
			"write: challenge_store sql, or: challenge_store redis <url>. One instance alone works."
	case accounts == OneMachine && short == AllMachines:
		return "challenges are shared between machines, but the accounts are in a file of this one: on another machine nobody has " +
			"an account or is signed in; write: store postgres <dsn>. One machine alone works."
	}
	return ""
}

var (
	_ Scoped = (*SQLiteStore)(nil)
	_ Scoped = (*MemoryChallengeStore)(nil)
)
