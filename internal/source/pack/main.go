// Command pack packs berth's source for the command to carry along:
//
//	go run ./internal/source/pack
//
// It works in the root of the repository, and writes nothing when nothing
// changed, so that nothing is compiled again.
package main

import (
	"bytes"
	"fmt"
	"os"

	"berth/internal/source"
)

const archive = "internal/source/packed/source.tar.zst"

func main() {
	if err := pack(); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack() error {
	var made bytes.Buffer
	if err := source.Pack(".", &made); err != nil {
		return err
	}
	if before, err := os.ReadFile(archive); err == nil && bytes.Equal(before, made.Bytes()) {
		return nil
	}
	return os.WriteFile(archive, made.Bytes(), 0o644)
}
