package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

//go:embed image.sh
var imageScript []byte

// image is a machine's disk with what boots it and what opens it.
type image struct{ folder string }

func (i image) file(name string) string { return filepath.Join(i.folder, name) }

// makeImage makes the machine's image, or takes the one that the same script
// made before.
func makeImage(ctx context.Context, home string) (image, error) {
	sum := sha256.Sum256(imageScript)
	made := image{filepath.Join(home, "image-"+hex.EncodeToString(sum[:6]))}
	if _, err := os.Stat(made.folder); err == nil {
		fmt.Println("made before:", made.folder)
		return made, nil
	}
	others, err := filepath.Glob(filepath.Join(home, "image-*")) // of other scripts, or half made
	if err != nil {
		return image{}, err
	}
	for _, other := range others {
		if err := os.RemoveAll(other); err != nil {
			return image{}, fmt.Errorf("remove an earlier image: %w", err)
		}
	}
	script, making := filepath.Join(home, "image.sh"), made.folder+".making"
	if err := os.WriteFile(script, imageScript, 0o600); err != nil {
		return image{}, err
	}
	// What it mounts is gone with it, however it ends, and is not in the way of
	// removing what it left.
	if err := run(ctx, home, nil, "unshare", "--mount", "--propagation", "private", "bash", script, making); err != nil {
		return image{}, err
	}
	return made, os.Rename(making, made.folder)
}
