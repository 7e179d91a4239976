package publish

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
)

// component is something that an artifact is made of: a Go module or a package
// of Debian's.
type component struct {
	name, version string
	// purl is its package URL: "pkg:golang/golang.org/x/sys@v0.49.0".
	purl string
}

// modulesOf returns the Go modules that a program was compiled from. The linker
// has written them into it.
func modulesOf(binary string) ([]component, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	return modules(info), nil
}

func modules(info *debug.BuildInfo) []component {
	found := []component{{"stdlib", info.GoVersion, "pkg:golang/stdlib@" + strings.TrimPrefix(info.GoVersion, "go")}}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		found = append(found, component{module.Path, module.Version, "pkg:golang/" + module.Path + "@" + module.Version})
	}
	return found
}

// dpkgStatus is where Debian keeps which packages are installed.
const dpkgStatus = "var/lib/dpkg/status"

// contentsOf returns the packages of Debian's that an image has, and the
// modules of its Go programs.
func contentsOf(ctx context.Context, from content.Fetcher, image ocispec.Descriptor) (found []component, err error) {
	text, err := content.FetchAll(ctx, from, image)
	if err != nil {
		return nil, err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil {
		return nil, err
	}
	var status []byte
	for _, layer := range manifest.Layers {
		blob, err := from.Fetch(ctx, layer)
		if err != nil {
			return nil, err
		}
		err = errors.Join(eachFile(blob, func(name string, content io.Reader, size int64) error {
			switch {
			case name == dpkgStatus: // a later layer has all of it again
				status, err = io.ReadAll(content)
				return err
			case size < 1<<20: // no Go program is that small
				return nil
			}
			file := bufio.NewReader(content)
			if magic, _ := file.Peek(4); string(magic) != "\x7fELF" {
				return nil
			}
			program, err := io.ReadAll(file)
			if err != nil {
				return err
			}
			if info, err := buildinfo.Read(bytes.NewReader(program)); err == nil { // else it is not Go's
				found = append(found, modules(info)...)
			}
			return nil
		}), blob.Close())
		if err != nil {
			return nil, err
		}
	}
	return append(found, debianPackages(status)...), nil
}

// eachFile visits the regular files of a layer.
func eachFile(layer io.Reader, visit func(name string, content io.Reader, size int64) error) error {
	plain := bufio.NewReader(layer)
	if magic, _ := plain.Peek(2); string(magic) == "\x1f\x8b" {
		compressed, err := gzip.NewReader(plain)
		if err != nil {
			return err
		}
		plain = bufio.NewReader(compressed)
	}
	for files := tar.NewReader(plain); ; {
		header, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag == tar.TypeReg {
			if err := visit(strings.TrimPrefix(header.Name, "./"), files, header.Size); err != nil {
				return err
			}
		}
	}
}

// debianPackages reads dpkg's status file.
func debianPackages(status []byte) (found []component) {
	for paragraph := range strings.SplitSeq(string(status), "\n\n") {
		fields := map[string]string{}
		for line := range strings.Lines(paragraph) {
			if name, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, " ") {
				fields[name] = strings.TrimSpace(value)
			}
		}
		if name := fields["Package"]; name != "" && strings.HasSuffix(fields["Status"], " installed") {
			found = append(found, component{name, fields["Version"],
				fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s", name, fields["Version"], fields["Architecture"])})
		}
	}
	return found
}

// sbom is a document of SPDX 2.3.
func sbom(name string, of digest.Digest, epoch int64, made []component) any {
	type reference struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	type item struct {
		ID         string      `json:"SPDXID"`
		Name       string      `json:"name"`
		Version    string      `json:"versionInfo,omitempty"`
		Download   string      `json:"downloadLocation"`
		Analyzed   bool        `json:"filesAnalyzed"`
		References []reference `json:"externalRefs,omitempty"`
	}
	type relation struct {
		From string `json:"spdxElementId"`
		Kind string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
	const document, whole = "SPDXRef-DOCUMENT", "SPDXRef-artifact"
	items := []item{{ID: whole, Name: name, Version: of.String(), Download: "NOASSERTION"}}
	relations := []relation{{document, "DESCRIBES", whole}}
	slices.SortFunc(made, func(a, b component) int { return cmp.Compare(a.purl, b.purl) })
	for i, c := range slices.Compact(made) {
		id := fmt.Sprintf("SPDXRef-%d", i+1)
		items = append(items, item{id, c.name, c.version, "NOASSERTION", false, []reference{{"PACKAGE-MANAGER", "purl", c.purl}}})
		relations = append(relations, relation{whole, "CONTAINS", id})
	}
	return map[string]any{
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": document, "name": name,
		"documentNamespace": "urn:berth:" + of.String(),
		"creationInfo": map[string]any{
			"created": time.Unix(epoch, 0).UTC().Format(time.RFC3339), "creators": []string{"Tool: berth-release"},
		},
		"packages": items, "relationships": relations,
	}
}
