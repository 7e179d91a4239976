package docs

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"berth/internal/config"
)

// configuration.md has every key that berth.yaml may have.
func TestConfigurationHasEveryKey(t *testing.T) {
	page, err := os.ReadFile("configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var look func(of reflect.Type, at string)
	look = func(of reflect.Type, at string) {
		for of.Kind() == reflect.Map || of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct {
			return
		}
		for i := range of.NumField() {
			field := of.Field(i)
			key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			if !field.IsExported() || key == "" || key == "-" {
				continue
			}
			if !regexp.MustCompile("`[^`\n]*\\b" + key + "\\b[^`\n]*`").Match(page) {
				t.Errorf("configuration.md does not have %s%s", at, key)
			}
			look(field.Type, at+key+".")
		}
	}
	look(reflect.TypeFor[config.Config](), "")
}
