package prebuilt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A signature is one of cosign's "simple signing": a manifest under a tag made
// of what is signed, whose layer names the digest and whose annotation is an
// ECDSA signature of the layer. So that others verify it, too, with no
// transparency log and nothing of berth's:
//
//	cosign verify --key berth.pub --insecure-ignore-tlog=true ghcr.io/me/berth:v1.2.0
const (
	SignatureLayerType  = "application/vnd.dev.cosign.simplesigning.v1+json"
	SignatureAnnotation = "dev.cosignproject.cosign/signature"
	signatureKind       = "cosign container image signature"
)

// SignatureTag is the tag of the signature of what has a digest.
func SignatureTag(of digest.Digest) string {
	return of.Algorithm().String() + "-" + of.Encoded() + ".sig"
}

// payload is what is signed.
type payload struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest digest.Digest `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]string `json:"optional"`
}

// Sign returns the layer of a signature, and the signature of it. The same key
// and digest give the same bytes.
func Sign(key *ecdsa.PrivateKey, repository string, of digest.Digest) (layer []byte, signature string, err error) {
	var p payload
	p.Critical.Identity.Reference = repository
	p.Critical.Image.Digest = of
	p.Critical.Type = signatureKind
	if layer, err = json.Marshal(p); err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(layer)
	signed, err := key.Sign(nil, sum[:], crypto.SHA256) // without a source of chance: RFC 6979
	if err != nil {
		return nil, "", fmt.Errorf("sign: %w", err)
	}
	return layer, base64.StdEncoding.EncodeToString(signed), nil
}

// ParseKey reads the private key of a releaser, as openssl genpkey writes it.
func ParseKey(content []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	var parsed any
	var err error
	if block.Type == "EC PRIVATE KEY" {
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	} else {
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("it is not an unencrypted private key: %s", block.Type) // the error may quote it
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("it is not an ECDSA key on the curve P-256")
	}
	return key, nil
}

// PublicKey is the key that verifies what key has signed, as PEM.
func PublicKey(key *ecdsa.PrivateKey) (string, error) {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), nil
}

// verify checks that the releaser has signed the release's list of parts.
func (r *Release) verify(ctx context.Context) error {
	block, _ := pem.Decode([]byte(r.Key))
	if block == nil {
		return errors.New("the releaser's key is not PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("read the releaser's key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return errors.New("the releaser's key is of another kind")
	}
	var manifest ocispec.Manifest
	if _, err := r.named(ctx, SignatureTag(r.Parts), func(content []byte) error { return json.Unmarshal(content, &manifest) }); err != nil {
		return err
	}
	for _, layer := range manifest.Layers {
		signature, err := base64.StdEncoding.DecodeString(layer.Annotations[SignatureAnnotation])
		if err != nil || layer.MediaType != SignatureLayerType || layer.Size > largestManifest {
			continue
		}
		content, err := r.small(ctx, layer)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		var signed payload
		if ecdsa.VerifyASN1(key, sum[:], signature) && json.Unmarshal(content, &signed) == nil &&
			signed.Critical.Type == signatureKind && signed.Critical.Image.Digest == r.Parts {
			return nil
		}
	}
	return errors.New("it is not by the releaser of this berth")
}
