// Package source finds berth's own source tree, from which Kubernetes (kube/) and the
// platform's images (images/) are built.
//
// In a clone of the repository the tree is beside the command. An installed command
// contains its source, and unpacks it where it is needed.
package source

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"berth/internal/fault"
)

//go:embed packed
var packed embed.FS

// archiveName is the file in the folder packed, which `make bin/berth` writes.
const archiveName = "source.tar.zst"

// Parts are what of the repository is packed into the command: all that is
// compiled or copied into an image.
var Parts = []string{"charts", "cmd", "collector", "go.mod", "go.sum", "images", "internal", "kube", "logline", "metrics", "terraform"}

// Root returns the tree that this program was built in, or else the one that
// the working folder is in, or else the one that it carries along, unpacked
// below the cache.
func Root() (string, error) {
	var candidates []string
	if program, err := os.Executable(); err == nil {
		candidates = append(candidates, filepath.Dir(filepath.Dir(program)))
	}
	if dir, err := os.Getwd(); err == nil {
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			candidates = append(candidates, dir)
		}
	}
	for _, candidate := range candidates {
		if isRoot(candidate) {
			return candidate, nil
		}
	}
	content, err := packed.ReadFile("packed/" + archiveName)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.WithHint(errors.New("berth's source, which Kubernetes and the platform's images are made from, is not here"),
			"this berth was compiled without it: make bin/berth includes it; or run berth in a clone of its repository, and name other applications with --dir")
	}
	if err != nil {
		return "", err
	}
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	return unpacked(content, cache)
}

// isRoot tells berth's tree from somebody else's that has a folder kube, too.
func isRoot(folder string) bool {
	content, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil || !bytes.HasPrefix(content, []byte("module berth\n")) {
		return false
	}
	_, err = os.Stat(filepath.Join(folder, "kube", "go.mod"))
	return err == nil
}

// cacheFolder is where berth's files lie that can be made again; root's are the
// machine's, as with package local.
func cacheFolder() (string, error) {
	if os.Geteuid() == 0 && os.Getenv("XDG_CACHE_HOME") == "" {
		return "/var/cache/berth", nil
	}
	folder, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for berth's source: %w", err)
	}
	return filepath.Join(folder, "berth"), nil
}

// unpacked returns the folder that an archive is unpacked in. Each archive has
// one of its own, which appears whole or not at all.
func unpacked(archive []byte, cache string) (string, error) {
	sum := sha256.Sum256(archive)
	folder := filepath.Join(cache, "source", hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return "", fmt.Errorf("unpack berth's source: %w", err)
	}
	making, err := os.MkdirTemp(filepath.Dir(folder), ".unpack-")
	if err != nil {
		return "", fmt.Errorf("unpack berth's source: %w", err)
	}
	defer os.RemoveAll(making)
	if err := unpack(archive, making); err != nil {
		return "", fmt.Errorf("unpack berth's source: %w", err)
	}
	if err := os.Chmod(making, 0o755); err != nil {
		return "", fmt.Errorf("unpack berth's source: %w", err)
	}
	// Another command may have been faster.
	if err := os.Rename(making, folder); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, there := os.Stat(folder); there != nil {
			return "", fmt.Errorf("unpack berth's source: %w", err)
		}
	}
	return folder, nil
}

func unpack(archive []byte, folder string) error {
	compressed, err := zstd.NewReader(bytes.NewReader(archive))
	if err != nil {
		return err
	}
	defer compressed.Close()
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	for files := tar.NewReader(compressed); ; {
		header, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := root.MkdirAll(filepath.Dir(header.Name), 0o755); err != nil {
			return err
		}
		content, err := io.ReadAll(files)
		if err != nil {
			return err
		}
		if err := root.WriteFile(header.Name, content, header.FileInfo().Mode().Perm()); err != nil {
			return err
		}
	}
}

// Pack writes the parts of a tree that the command carries along. The same tree
// gives the same bytes, whenever and wherever it is packed. Tests are left out.
func Pack(root string, w io.Writer) (err error) {
	compressed, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	files := tar.NewWriter(compressed)
	for _, part := range Parts {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			if entry.IsDir() {
				if entry.Name() == "testdata" {
					return filepath.SkipDir
				}
				return nil
			}
			if strings.HasSuffix(name, "_test.go") || entry.Name() == archiveName || !entry.Type().IsRegular() {
				return nil
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			mode := int64(0o644)
			if info.Mode()&0o111 != 0 {
				mode = 0o755
			}
			if err := files.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Mode: mode, Size: int64(len(content))}); err != nil {
				return err
			}
			_, err = files.Write(content)
			return err
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(files.Close(), compressed.Close())
}
