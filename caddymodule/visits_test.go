package caddymodule

import (
	"sync"
	"testing"
)

func TestVisitsEndWithTheLast(t *testing.T) {
	v := newVisits()
	if !v.begin() || !v.begin() {
		t.Fatal("no visit may begin")
	}
	v.leave()
	v.end()
	if v.over() {
		t.Error("over before the last one is")
	}
	if v.begin() {
		t.Error("one begins after the end")
	}
	v.leave()
	if !v.over() {
		t.Error("not over after the last one")
	}
	if v.begin() || v.begin() {
		t.Error("one begins after all are over")
	}
}

func TestVisitsRaceWithTheirEnd(t *testing.T) {
	for range 200 {
		v := newVisits()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for v.begin() {
					if v.over() {
						t.Error("over while one is under way")
					}
					v.leave()
				}
			})
		}
		all.Go(v.end)
		all.Wait()
		if !v.over() {
			t.Error("not over though none is under way")
		}
	}
}
