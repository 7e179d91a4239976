package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The watch has to be small: client-go's clientset would double its program, and any
// package may bring it.
func TestTheClientsetIsNotInTheWatch(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(string(out)) {
		if name == "k8s.io/client-go/kubernetes" || name == "k8s.io/client-go/kubernetes/scheme" {
			t.Errorf("it imports %s: see internal/watch/api.go", name)
		}
	}
}
