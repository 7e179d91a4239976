package ingress

import _ "embed"

// Scripts are what every configuration loads from Settings.Dir, by file name.
var Scripts = map[string][]byte{
	"endpoints.lua": endpointsLua,
	"balance.lua":   []byte("endpoints.balance()\n"),
}

//go:embed endpoints.lua
var endpointsLua []byte
