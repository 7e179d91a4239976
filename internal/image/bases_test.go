package image

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestBasesAreTheImagesThatATargetNeeds(t *testing.T) {
	for _, test := range []struct {
		name, dockerfile, target string
		args                     map[string]string
		want                     string
	}{
		{name: "a short name", dockerfile: "FROM golang:1.26", want: "docker.io library/golang 1.26 golang:1.26:1"},
		{name: "no tag", dockerfile: "FROM debian", want: "docker.io library/debian latest debian:1"},
		{name: "latest", dockerfile: "FROM docker.io/library/debian:latest", want: "docker.io library/debian latest debian:1"},
		{name: "another registry", dockerfile: "FROM registry:5000/me/app:2", want: "registry:5000 me/app 2 registry:5000/me/app:2:1"},
		{name: "scratch", dockerfile: "FROM scratch"},
		{name: "an argument", dockerfile: "ARG TAG=trixie\nARG BASE=debian:${TAG}-slim\nFROM ${BASE}", want: "docker.io library/debian trixie-slim debian:trixie-slim:3"},
		{name: "an argument of berth.yaml", dockerfile: "ARG BASE=debian\nFROM $BASE", args: map[string]string{"BASE": "alpine:3"}, want: "docker.io library/alpine 3 alpine:3:2"},
		{name: "stages", dockerfile: "FROM golang:1.26 AS build\nFROM build AS test\nFROM debian:13\nCOPY --from=build /v /v",
			want: "docker.io library/debian 13 debian:13:3, docker.io library/golang 1.26 golang:1.26:1"},
		{name: "a stage that nothing needs", dockerfile: "FROM unknown AS dev\nFROM scratch\nCOPY hello /"},
		{name: "a target", dockerfile: "FROM debian AS one\nFROM alpine AS two", target: "one", want: "docker.io library/debian latest debian:1"},
		{name: "a stage by number", dockerfile: "FROM debian\nFROM scratch\nCOPY --from=0 /a /a", want: "docker.io library/debian latest debian:1"},
		{name: "copies and mounts", dockerfile: "FROM scratch\nCOPY --from=nginx:1 /etc /etc\nRUN --mount=type=bind,from=busybox,target=/b true",
			want: "docker.io library/nginx 1 nginx:1:2, docker.io library/busybox latest busybox:3"},
		{name: "here-documents", dockerfile: "FROM debian\nRUN <<EOF\nFROM nothing\nEOF\n", want: "docker.io library/debian latest debian:1"},
		{name: "Docker's syntax", dockerfile: "# syntax=docker/dockerfile:1.7-labs\nFROM scratch"},
		{name: "another syntax", dockerfile: "# syntax=ghcr.io/me/frontend:2\nFROM scratch", want: "ghcr.io me/frontend 2 ghcr.io/me/frontend:2:1"},
		{name: "not a Dockerfile", dockerfile: "FORM debian"},
		{name: "empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			from := source(t, test.dockerfile)
			from.Args, from.Target = test.args, test.target
			bases, err := Bases(from)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range bases {
				got = append(got, fmt.Sprintf("%s %s %s %s:%d", b.Registry, b.Repository, b.Tag, b.Name, b.Line))
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("got %s, want %s", strings.Join(got, ", "), test.want)
			}
		})
	}
}

func FuzzBases(f *testing.F) {
	f.Add("ARG A=b\nFROM ${A:-x} AS y\nCOPY --from=y . .\nRUN --mount=type=bind,from=z <<EOF\nEOF", "y")
	f.Add("FROM a@sha256:"+strings.Repeat("a", 64), "")
	f.Add("FROM --platform=$BUILDPLATFORM x", "0")
	f.Fuzz(func(t *testing.T, dockerfile, target string) {
		from := source(t, dockerfile)
		from.Target = target
		bases, err := Bases(from)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(bases, func(b Base) bool { return b.Name == "" || b.Registry == "" }) {
			t.Errorf("a base without a name: %v", bases)
		}
	})
}
